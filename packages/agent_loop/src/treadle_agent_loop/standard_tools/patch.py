"""The `patch` tool: changes parts of files, by quoting them or by a patch.

Nothing is written unless everything fits. Files with Windows line ends keep them.
"""

import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Concurrency, Tool, tool
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.patching.changes import ChangeKind, FileChange, apply_hunks
from treadle_agent_loop.patching.matching import Looseness
from treadle_agent_loop.patching.patch_text import parse_patch
from treadle_agent_loop.patching.replacing import Replaced, replace_text
from treadle_agent_loop.standard_tools.read_file import read_text_file
from treadle_agent_loop.standard_tools.shell import decode, encode
from treadle_agent_loop.workspace import Workspace, told_to_model

_DIFF_LINES = 60
_LONG = 200_000
"""Characters of a file from which on work on it leaves the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edit:
    """One file before and after; None where it doesn't exist."""

    path: str
    before: str | None
    after: str | None
    source: str = ""
    """Where its content was before, when it was moved."""


def build_patch_tool(*, result_limit: int = DEFAULT_RESULT_LIMIT) -> Tool:
    """Make the `patch` tool; it runs alone, as `write_file` does."""

    async def patch(
        workspace: Workspace,
        path: Annotated[str | None, "The file to change, with old_string."] = None,
        old_string: Annotated[str | None, "The text to replace, quoted with its lines."] = None,
        new_string: Annotated[str | None, "What takes its place."] = None,
        replace_all: Annotated[bool, "Replace it everywhere in the file."] = False,
        patch: Annotated[
            str | None,
            "Instead of these, a patch of one or more files: *** Begin Patch, *** Update File: "
            "PATH, lines beginning with space, - or +, *** End Patch; or a unified diff.",
        ] = None,
    ) -> str:
        """Change parts of files: replace old_string by new_string, or apply a patch."""
        if patch is not None:
            if old_string is not None:
                raise ToolError("give either old_string and new_string, or patch, not both")
            return await _apply_patch(workspace, patch)
        if path is None or old_string is None or new_string is None:
            raise ToolError("give path, old_string and new_string, or patch")
        return await _replace(workspace, path, old_string, new_string, everywhere=replace_all)

    return tool(result_limit=result_limit, concurrency=Concurrency.EXCLUSIVE)(patch)


patch_tool = build_patch_tool()
"""The `patch` tool with its defaults."""


async def _replace(workspace: Workspace, path: str, old: str, new: str, *, everywhere: bool) -> str:
    text = await read_text_file(workspace, path)
    windows = _is_windows(text)
    plain = text.replace("\r\n", "\n") if windows else text

    def replace() -> Replaced:
        if windows:
            return replace_text(plain, _unix(old), _unix(new), everywhere=everywhere)
        return replace_text(plain, old, new, everywhere=everywhere)

    replaced = await asyncio.to_thread(replace) if len(plain) > _LONG else replace()
    edit = _Edit(path=path, before=plain, after=replaced.text)
    await _write(workspace, edit, windows=windows)
    places = "1 place" if replaced.count == 1 else f"{replaced.count} places"
    loosely = ""
    if replaced.looseness is not Looseness.EXACT:
        loosely = f" (old_string matched apart from {replaced.looseness})"
    return f"changed {places} in {path}{loosely}\n{await _diff(edit)}".rstrip("\n")


async def _apply_patch(workspace: Workspace, text: str) -> str:
    changes = parse_patch(text)
    texts: dict[str, str | None] = {}
    windows: set[str] = set()
    for change in changes:
        if change.kind is not ChangeKind.ADD and change.path not in texts:
            found = await read_text_file(workspace, change.path)
            if _is_windows(found):
                windows |= {change.path, change.move_to}
            texts[change.path] = found.replace("\r\n", "\n") if _is_windows(found) else found
    edits = [await _edit(change, texts) for change in changes]
    for edit in edits:
        await _write(workspace, edit, windows=edit.path in windows)
    return "\n".join([_summary(edit) for edit in edits] + [await _diff(edit) for edit in edits])


async def _edit(change: FileChange, texts: dict[str, str | None]) -> _Edit:
    """Work out one change; `texts` holds the files as they are after the changes before it."""
    before = texts.get(change.path)
    if change.kind is ChangeKind.ADD:
        texts[change.path] = change.content
        return _Edit(path=change.path, before=None, after=change.content)
    if before is None:
        raise ToolError(f"the patch changes {change.path} after it has deleted it")
    if change.kind is ChangeKind.DELETE:
        texts[change.path] = None
        return _Edit(path=change.path, before=before, after=None)

    def apply() -> str:
        return apply_hunks(before, change.hunks, path=change.path)

    after = await asyncio.to_thread(apply) if len(before) > _LONG else apply()
    target = change.move_to or change.path
    if change.move_to:
        texts[change.path] = None
    texts[target] = after
    source = change.path if change.move_to else ""
    return _Edit(path=target, before=before, after=after, source=source)


async def _write(workspace: Workspace, edit: _Edit, *, windows: bool) -> None:
    with told_to_model():
        if edit.after is not None:
            text = edit.after.replace("\n", "\r\n") if windows else edit.after
            await workspace.write_file(edit.path, encode(text))
        gone = edit.path if edit.after is None else edit.source
        if gone:
            result = await workspace.exec(["rm", "--", gone], timeout=15)
            if result.exit_code != 0:
                raise ToolError(f"{gone} can't be deleted: {decode(result.stderr)}")


def _summary(edit: _Edit) -> str:
    if edit.after is None:
        return f"deleted {edit.path}"
    if edit.before is None:
        return f"added {edit.path}"
    return f"moved {edit.source} to {edit.path}" if edit.source else f"updated {edit.path}"


async def _diff(edit: _Edit) -> str:
    """Return what changed as a short unified diff; nothing for added and deleted files."""
    if edit.before is None or edit.after is None:
        return ""
    before, after = edit.before.split("\n"), edit.after.split("\n")
    if len(edit.before) <= _LONG:
        return _short_diff(before, after)
    return await asyncio.to_thread(_short_diff, before, after)


def _short_diff(before: Sequence[str], after: Sequence[str]) -> str:
    lines = list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
    if len(lines) > _DIFF_LINES:
        cut = len(lines) - _DIFF_LINES
        lines = [*lines[:_DIFF_LINES], f"[... {cut} lines of the diff cut ...]"]
    return "\n".join(lines)


def _is_windows(text: str) -> bool:
    return "\r\n" in text and text.count("\n") == text.count("\r\n")


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")
