"""The `read_file` tool: numbered lines of a text file, a page at a time."""

import difflib
import errno
import posixpath
from typing import Annotated

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.definition import Tool, tool
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.standard_tools.shell import decode
from treadle_agent_loop.workspace import Workspace, told_to_model

_LINE_LIMIT = 2_000
_SNIFFED = 8_000


def build_read_file_tool(
    *, max_lines: int = 500, result_limit: int = 60_000, max_bytes: int = 16_000_000
) -> Tool:
    """Make the `read_file` tool: at most `max_lines` lines and `result_limit` characters a call.

    A page never ends inside a line, and says where the next one begins.
    """

    async def read_file(
        workspace: Workspace,
        path: Annotated[str, "The file."],
        offset: Annotated[int, "First line, from 1."] = 1,
        limit: Annotated[int, f"How many lines, at most {max_lines}."] = max_lines,
    ) -> str:
        """Read a text file. Lines come as NUMBER|TEXT."""
        if offset < 1 or limit < 1:
            raise ToolError(f"offset and limit count from 1, but are {offset} and {limit}")
        data = await read_text_file(workspace, path, max_bytes=max_bytes)
        lines = data.splitlines()
        if not lines:
            return f"({path} is empty)"
        if offset > len(lines):
            raise ToolError(f"{path} has {len(lines)} lines; there is no line {offset}")
        page = _page(lines, offset, min(limit, max_lines), result_limit - 200)
        last = offset + len(page) - 1
        if last == len(lines) and offset == 1:
            return "\n".join(page)
        more = f"; go on with offset={last + 1}" if last < len(lines) else ""
        return "\n".join([*page, f"[lines {offset} to {last} of {len(lines)}{more}]"])

    return tool(result_limit=result_limit, keep_full=False)(read_file)


async def read_text_file(workspace: Workspace, path: str, *, max_bytes: int = 16_000_000) -> str:
    """Return a text file of the workspace, its line ends as they are.

    Raises:
        ToolError: no such file (with the names that come close), too large, or not text.
    """
    try:
        with told_to_model():
            data = await workspace.read_file(path, limit=max_bytes)
    except ToolError as error:
        raise ToolError(await _unreadable(workspace, path, error)) from error
    if b"\0" in data[:_SNIFFED]:
        raise ToolError(
            f"{path} is a binary file of {len(data)} bytes; look at it with terminal, for "
            f"example: file {path}; xxd {path} | head"
        )
    return data.decode(errors="replace")


def _page(lines: list[str], offset: int, limit: int, room: int) -> list[str]:
    page: list[str] = []
    for number, line in enumerate(lines[offset - 1 : offset - 1 + limit], start=offset):
        entry = f"{number}|{clip_middle(line, _LINE_LIMIT)}"
        room -= len(entry) + 1
        if room < 0 and page:
            break
        page.append(entry)
    return page


async def _unreadable(workspace: Workspace, path: str, refusal: ToolError) -> str:
    """Say why a file can't be read and what to do instead."""
    cause = refusal.__cause__
    if isinstance(cause, FileNotFoundError):
        return await _missing(workspace, path)
    if isinstance(cause, OSError) and cause.errno == errno.EFBIG:
        advice = f"look at parts of it with terminal, for example: head -c 2000 {path}"
        return f"{path} is too large to read ({refusal}); {advice}"
    if "\0" not in path and (await workspace.exec(["test", "-d", path], timeout=10)).exit_code == 0:
        return f"{path} is a folder; list it with terminal: ls {path}"
    return f"{path} can't be read: {refusal}"


async def _missing(workspace: Workspace, path: str) -> str:
    """Say that a file isn't there, and which ones beside it have a similar name."""
    folder, name = posixpath.split(path)
    listed = await workspace.exec(["ls", "-A", "--", folder or "."], timeout=10)
    if listed.exit_code != 0:
        return f"there is no file {path}: the folder {folder or '.'} doesn't exist either"
    near = difflib.get_close_matches(name, decode(listed.stdout).splitlines(), n=3, cutoff=0.5)
    shown = ", ".join(posixpath.join(folder, entry) for entry in near)
    return f"there is no file {path}" + (f"; did you mean {shown}?" if shown else "")


read_file_tool = build_read_file_tool()
"""The `read_file` tool with its defaults."""
