"""The `search_files` tool: a regular expression in file contents, or a pattern of file names.

It runs ripgrep where the workspace has it and grep elsewhere, over the same files: hidden ones
included, binary ones not, and never `.git`, the loop's own folder, `node_modules` or caches.
"""

import re
from typing import Annotated, Literal

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Tool, tool
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.standard_tools.shell import decode, encode
from treadle_agent_loop.workspace import Workspace, told_to_model
from treadle_agent_loop.workspace_state import STATE_FOLDER

_LINE_LIMIT = 400
_OUTPUT_BYTES = 2_000_000
_SKIPPED = (".git", STATE_FOLDER, "node_modules", "__pycache__")
_PLACE = re.compile(r"(.+?):(\d+):")

_CONTENT = r"""
pattern=$1 path=$2 glob=$3 output=$4 context=$5 caseless=$6
shift 6
tool=grep
if command -v rg >/dev/null 2>&1; then tool=rg; fi
for name in "$@"; do
    if [ $tool = rg ]; then set -- "$@" -g "!$name"; else set -- "$@" "--exclude-dir=$name"; fi
    shift
done
if [ -n "$glob" ]; then
    if [ $tool = rg ]; then set -- "$@" -g "$glob"; else set -- "$@" "--include=$glob"; fi
fi
if [ -n "$caseless" ]; then set -- "$@" -i; fi
case $output in
    files) set -- "$@" -l ;;
    count) set -- "$@" -cH ;;
    *) set -- "$@" -nH ;;
esac
if [ "$context" != 0 ]; then set -- "$@" -C "$context"; fi
if [ $tool = rg ]; then
    set -- --no-config --no-ignore --hidden --no-heading --color never "$@"
    exec rg "$@" -e "$pattern" -- "$path"
fi
if echo x | grep -qP x 2>/dev/null; then set -- "$@" -P; else set -- "$@" -E; fi
exec grep -rI "$@" -e "$pattern" -- "$path"
"""
_FILES = r"""
pattern=$1 path=$2
shift 2
for name in "$@"; do set -- "$@" -o -name "$name"; shift; done
shift
exec find "$path" \( "$@" \) -prune -o -type f -name "$pattern" -print
"""


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
        output: Annotated[
            Literal["lines", "files", "count"], "Matching lines, files, or matches per file."
        ] = "lines",
        context: Annotated[int, "Lines shown around each match."] = 0,
        ignore_case: bool = False,
        limit: Annotated[int, "How many lines of result."] = 50,
        offset: Annotated[int, "How many lines of result to skip."] = 0,
    ) -> str:
        """Search files for a regular expression, or find files by name."""
        if not pattern or "\0" in pattern:
            raise ToolError("the pattern is empty or contains a NUL character")
        if target == "files":
            script, words = _FILES, [pattern, path]
        else:
            case = "i" if ignore_case else ""
            around = str(max(context, 0))
            script, words = _CONTENT, [pattern, path, glob or "", output, around, case]
        lines = await _run(workspace, script, words, timeout)
        if target == "content" and output == "count":
            lines = [line for line in lines if not line.endswith(":0")]
        if target == "files" or context <= 0:
            lines.sort(key=_place)
        if not lines:
            return f"no {'files' if target == 'files' else 'matches'} for {pattern!r} in {path}"
        return _page(lines, max(offset, 0), max(limit, 1))

    return tool(result_limit=result_limit)(search_files)


search_files_tool = build_search_files_tool()
"""The `search_files` tool with its defaults."""


async def _run(workspace: Workspace, script: str, words: list[str], timeout: float) -> list[str]:
    """Run a search and return its lines; an invalid pattern or a missing path is a ToolError."""
    plain = [encode(word).decode() for word in words]
    with told_to_model():
        result = await workspace.exec(
            ["sh", "-c", script, "sh", *plain, *_SKIPPED],
            timeout=timeout,
            output_limit=_OUTPUT_BYTES,
        )
    if result.timed_out:
        raise ToolError(f"the search took longer than {timeout:g} seconds; search a smaller folder")
    lines = [line.removeprefix("./") for line in decode(result.stdout).splitlines()]
    if not lines and result.stderr.strip():
        raise ToolError(f"the search failed: {clip_middle(decode(result.stderr), 1_000)}")
    return lines


def _place(line: str) -> tuple[str, int, str]:
    match = _PLACE.match(line)
    return (match[1], int(match[2]), "") if match else (line, 0, "")


def _page(lines: list[str], offset: int, limit: int) -> str:
    page = [clip_middle(line, _LINE_LIMIT) for line in lines[offset : offset + limit]]
    if not page:
        return f"(no more: {len(lines)} lines of result in all)"
    if offset or offset + len(page) < len(lines):
        last = offset + len(page)
        more = f"; go on with offset={last}" if last < len(lines) else ""
        page.append(f"[{offset + 1} to {last} of {len(lines)}{more}]")
    return "\n".join(page)
