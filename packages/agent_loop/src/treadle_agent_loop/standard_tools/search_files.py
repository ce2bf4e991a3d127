"""The `search_files` tool: a regular expression in file contents, or a pattern of file names."""

from typing import Annotated, Literal

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Tool, tool
from treadle_agent_loop.searching import Output, search_contents, search_names
from treadle_agent_loop.workspace import Workspace

_LINE_LIMIT = 400


def build_search_files_tool(
    *, timeout: float = 60.0, result_limit: int = DEFAULT_RESULT_LIMIT
) -> Tool:
    """Make the `search_files` tool; `timeout` in seconds bounds a search."""

    async def search_files(
        workspace: Workspace,
        pattern: Annotated[str, "A regular expression; for target=files a name such as *.py."],
        path: Annotated[str, "Where to search: a folder or a file."] = ".",
        target: Annotated[
            Literal["content", "files"], "Search in what files contain, or for file names."
        ] = "content",
        glob: Annotated[str | None, "Only files of this name, for example *.py."] = None,
        output: Annotated[Output, "Matching lines, files, or matches per file."] = "lines",
        context: Annotated[int, "Lines shown around each match."] = 0,
        ignore_case: bool = False,
        limit: Annotated[int, "How many lines of result."] = 50,
        offset: Annotated[int, "How many lines of result to skip."] = 0,
    ) -> str:
        """Search files for a regular expression, or find files by name."""
        if target == "files":
            lines = await search_names(workspace, pattern, path=path, timeout=timeout)
        else:
            lines = await search_contents(
                workspace,
                pattern,
                path=path,
                glob=glob or "",
                output=output,
                context=context,
                ignore_case=ignore_case,
                timeout=timeout,
            )
        if not lines:
            return f"no {'files' if target == 'files' else 'matches'} for {pattern!r} in {path}"
        return _page(lines, max(offset, 0), max(limit, 1))

    return tool(result_limit=result_limit)(search_files)


search_files_tool = build_search_files_tool()
"""The `search_files` tool with its defaults."""


def _page(lines: list[str], offset: int, limit: int) -> str:
    page = [clip_middle(line, _LINE_LIMIT) for line in lines[offset : offset + limit]]
    if not page:
        return f"(no more: {len(lines)} lines of result in all)"
    if offset or offset + len(page) < len(lines):
        last = offset + len(page)
        more = f"; go on with offset={last}" if last < len(lines) else ""
        page.append(f"[{offset + 1} to {last} of {len(lines)}{more}]")
    return "\n".join(page)
