"""Reads patches: the `*** Begin Patch` form and unified diffs.

    *** Begin Patch
    *** Update File: src/app.py
    @@ def main():
     context
    -old line
    +new line
    *** Add File: notes.txt
    +a line
    *** Delete File: old.py
    *** End Patch

`*** Move to: PATH` may follow `*** Update File`. Line counts of unified diffs are not trusted. Text
around a patch (code fences, a shell's here-document) is ignored.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.patching.changes import ChangeKind, FileChange, Hunk

_RANGE = re.compile(r"@@+ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@+ ?(.*)")
_FILE = re.compile(r"\*\*\* (Add|Update|Delete) File: *(.+)")
_EXPECTED = (
    "a patch begins with '*** Begin Patch' and names files with '*** Update File: PATH', or is a "
    "unified diff with '--- PATH' and '+++ PATH'"
)


def parse_patch(text: str) -> tuple[FileChange, ...]:
    """Return the changes of a patch.

    Raises:
        ToolError: it is no patch, or one of its lines has no place there.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if any(line.startswith("*** Begin Patch") or _FILE.match(line) for line in lines):
        changes = _parse_sections(lines)
    else:
        changes = _parse_unified(lines)
    if not changes:
        raise ToolError(f"the patch changes no file; {_EXPECTED}")
    return tuple(changes)


def _parse_sections(lines: Sequence[str]) -> list[FileChange]:
    changes: list[FileChange] = []
    starts = [index for index, line in enumerate(lines) if _FILE.match(line)]
    for start, end in pairwise([*starts, len(lines)]):
        body = list(lines[start + 1 : end])
        closing = [n for n, line in enumerate(body) if line.startswith("*** End Patch")]
        body = body[: closing[0]] if closing else body
        header = _FILE.match(lines[start])
        assert header is not None, "starts are header lines"
        changes.append(_section(header[1], header[2].strip(), body))
    return changes


def _section(kind: str, path: str, body: list[str]) -> FileChange:
    if kind == "Delete":
        return FileChange(kind=ChangeKind.DELETE, path=path)
    if kind == "Add":
        content = [line[1:] for line in body if line.startswith("+")]
        text = "".join(f"{line}\n" for line in content)
        return FileChange(kind=ChangeKind.ADD, path=path, content=text)
    move_to = ""
    if body and body[0].startswith("*** Move to:"):
        move_to = body.pop(0).partition(":")[2].strip()
    hunks = _hunks(body, path)
    if not hunks and not move_to:
        raise ToolError(f"the update of {path} has no changed line (beginning with + or -)")
    return FileChange(kind=ChangeKind.UPDATE, path=path, move_to=move_to, hunks=hunks)


def _hunks(lines: Sequence[str], path: str) -> tuple[Hunk, ...]:
    """Read the hunks of one file; each begins at a line with `@@`, the first one may lack it."""
    starts = [index for index, line in enumerate(lines) if line.startswith("@@")]
    if not starts or any(line.strip() for line in lines[: starts[0]]):
        starts.insert(0, -1)
    hunks: list[Hunk] = []
    for start, end in pairwise([*starts, len(lines)]):
        hunk = _hunk(lines[start] if start >= 0 else "@@", lines[start + 1 : end], path)
        if hunk is not None:
            hunks.append(hunk)
    return tuple(hunks)


def _hunk(heading: str, lines: Sequence[str], path: str) -> Hunk | None:
    numbered = _RANGE.match(heading)
    header = numbered[2] if numbered else heading.lstrip("@").removesuffix("@@")
    body: list[str] = []
    at_end = False
    for line in lines:
        if line.startswith("*** End of File"):
            at_end = True
        elif line == "" or line[0] in " +-":
            body.append(line or " ")
        elif not line.startswith("\\"):
            raise ToolError(
                f"a line in the patch of {path} begins with none of ' ', '+' and '-': {line!r}"
            )
    while body and body[-1] == " ":  # blank lines before the next section
        body.pop()
    if all(line[0] == " " for line in body):
        return None
    return Hunk(
        body=tuple(body),
        header=header.strip(),
        line=int(numbered[1]) if numbered else None,
        at_end=at_end,
    )


def _parse_unified(lines: Sequence[str]) -> list[FileChange]:
    starts = [
        index
        for index in range(len(lines) - 1)
        if lines[index].startswith("--- ") and lines[index + 1].startswith("+++ ")
    ]
    if not starts:
        raise ToolError(f"this is no patch; {_EXPECTED}")
    changes: list[FileChange] = []
    for start, end in pairwise([*starts, len(lines)]):
        body = lines[start + 2 : end]
        trailer = [n for n, line in enumerate(body) if line.startswith(("diff --git ", "```"))]
        body = body[: trailer[0]] if trailer else body
        changes.append(_unified(_path(lines[start]), _path(lines[start + 1]), body))
    return changes


def _unified(before: str, after: str, body: Sequence[str]) -> FileChange:
    if after == "/dev/null":
        return FileChange(kind=ChangeKind.DELETE, path=before)
    if before == "/dev/null":
        content = "".join(f"{line[1:]}\n" for line in body if line.startswith("+"))
        return FileChange(kind=ChangeKind.ADD, path=after, content=content)
    hunks = _hunks(body, after)
    if not hunks:
        raise ToolError(f"the diff of {after} has no changed line (beginning with + or -)")
    move_to = after if after != before else ""
    return FileChange(kind=ChangeKind.UPDATE, path=before, move_to=move_to, hunks=hunks)


def _path(line: str) -> str:
    path = line[4:].split("\t")[0].strip()
    return path[2:] if path.startswith(("a/", "b/")) else path
