"""Replaces one piece of a text by another, as the model quotes it."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.patching.matching import Looseness, find_lines

_SEARCHED_LINES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A changed text."""

    text: str
    count: int
    """How many places were changed."""
    looseness: Looseness


def replace_text(text: str, old: str, new: str, *, everywhere: bool = False) -> Replaced:
    """Replace the one place where `old` stands, or every one.

    An exact match may lie anywhere. Otherwise whole lines are matched (see `matching`), and the new
    lines are indented as the old ones were.

    Raises:
        ToolError: `old` isn't there, or in several places; the message says which lines come close.
    """
    if not old:
        raise ToolError("old_string is empty; quote the text to replace, or use write_file")
    if old == new:
        raise ToolError("old_string and new_string are the same; nothing would change")
    exact = _exact_starts(text, old)
    if exact:
        _check_count([text.count("\n", 0, start) + 1 for start in exact], everywhere)
        return Replaced(text=text.replace(old, new), count=len(exact), looseness=Looseness.EXACT)
    return _replace_lines(text, old, new, everywhere=everywhere)


def closest_lines(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """Return the lines of a text that come closest to the wanted ones, numbered; or nothing."""
    first = next((line.strip() for line in wanted if line.strip()), "")
    stripped = [line.strip() for line in lines[:_SEARCHED_LINES]]
    near = difflib.get_close_matches(first, stripped, n=1, cutoff=0.6)
    if not near:
        return ""
    index = stripped.index(near[0])
    shown = lines[max(index - 2, 0) : index + len(wanted) + 2]
    numbered = enumerate(shown, start=max(index - 2, 0) + 1)
    return "\n".join(f"{number}|{line}" for number, line in numbered)


def _replace_lines(text: str, old: str, new: str, *, everywhere: bool) -> Replaced:
    lines, wanted = text.split("\n"), old.removesuffix("\n").split("\n")
    matches = find_lines(lines, wanted)
    if not matches:
        near = closest_lines(lines, wanted)
        hint = f"; the closest lines are:\n{near}" if near else "; read the file first"
        raise ToolError(f"old_string is not in the file{hint}")
    _check_count([match.first + 1 for match in matches], everywhere)
    replacement = new.split("\n")
    if old.endswith("\n"):
        replacement = new.removesuffix("\n").split("\n") if new else []
    for match in reversed(matches):
        indented = [match.indent.apply(line) for line in replacement]
        lines[match.first : match.first + len(wanted)] = indented
    return Replaced(text="\n".join(lines), count=len(matches), looseness=matches[0].looseness)


def _exact_starts(text: str, old: str) -> list[int]:
    starts: list[int] = []
    start = text.find(old)
    while start != -1:
        starts.append(start)
        start = text.find(old, start + len(old))
    return starts


def _check_count(lines: list[int], everywhere: bool) -> None:
    if len(lines) > 1 and not everywhere:
        shown = ", ".join(map(str, lines[:10])) + (", ..." if len(lines) > 10 else "")
        raise ToolError(
            f"old_string is in the file {len(lines)} times (lines {shown}); quote more of the "
            "lines around the one you mean, or set replace_all"
        )
