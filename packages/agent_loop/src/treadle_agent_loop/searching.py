"""Searches the files of a workspace with what it has: ripgrep, or else grep; and find.

All of them see the same files: hidden ones included, binary ones not, and never `.git`, the loop's
own folder, `node_modules` or caches. Patterns are Perl-like regular expressions where the tool
knows them, as ripgrep and GNU grep do.
"""

import re
from typing import Literal

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.workspace import Workspace, told_to_model
from treadle_agent_loop.workspace_state import STATE_FOLDER

Output = Literal["lines", "files", "count"]

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


async def search_contents(
    workspace: Workspace,
    pattern: str,
    *,
    path: str = ".",
    glob: str = "",
    output: Output = "lines",
    context: int = 0,
    ignore_case: bool = False,
    timeout: float = 60.0,
) -> list[str]:
    """Return matching lines as `path:line:text`, matching files, or `path:count`, sorted.

    With `context` lines around each match the order is that of the tool.

    Raises:
        ToolError: the pattern is no regular expression, the path isn't there, or time ran out.
    """
    words = [pattern, path, glob, output, str(max(context, 0)), "i" if ignore_case else ""]
    lines = await _run(workspace, _CONTENT, words, timeout)
    if output == "count":
        lines = [line for line in lines if not line.endswith(":0")]
    return lines if context > 0 else sorted(lines, key=_place)


async def search_names(
    workspace: Workspace, pattern: str, *, path: str = ".", timeout: float = 60.0
) -> list[str]:
    """Return the paths of files whose name fits a pattern such as `*.py`, sorted. Raises as
    `search_contents`.
    """
    return sorted(await _run(workspace, _FILES, [pattern, path], timeout))


def split_line(line: str) -> tuple[str, int] | None:
    """Return path and number of a matching line, or None for another line."""
    match = _PLACE.match(line)
    return (match[1], int(match[2])) if match else None


async def _run(workspace: Workspace, script: str, words: list[str], timeout: float) -> list[str]:
    if not words[0] or "\0" in words[0]:
        raise ToolError("the pattern is empty or contains a NUL character")
    plain = [word.encode(errors="replace").decode() for word in words]
    with told_to_model():
        result = await workspace.exec(
            ["sh", "-c", script, "sh", *plain, *_SKIPPED],
            timeout=timeout,
            output_limit=_OUTPUT_BYTES,
        )
    if result.timed_out:
        raise ToolError(f"the search took longer than {timeout:g} seconds; search a smaller folder")
    text = result.stdout.decode(errors="replace").removesuffix("\n")
    lines = [line.removeprefix("./") for line in text.splitlines()]
    if not lines and result.stderr.strip():
        said = result.stderr.decode(errors="replace").strip()
        raise ToolError(f"the search failed: {clip_middle(said, 1_000)}")
    return lines


def _place(line: str) -> tuple[str, int]:
    return split_line(line) or (line, 0)
