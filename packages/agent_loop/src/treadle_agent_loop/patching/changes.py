"""A patch as data: which files change, and the hunks of each.

Hunks are applied to the text that is there: context lines stay as the file has them, added lines
take the indentation of their surroundings, and a hunk that fits nowhere is refused with the lines
that come closest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.patching.matching import Indent, LineMatch, Looseness, find_lines
from treadle_agent_loop.patching.replacing import closest_lines


class ChangeKind(StrEnum):
    """What becomes of a file."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One place of a file to change."""

    body: tuple[str, ...]
    """Lines with their mark in front: space for context, `-`, or `+`."""
    header: str = ""
    """A line of the file somewhere above, for example a `def`; empty without."""
    line: int | None = None
    """The number of its first line, where the patch says (it may be off)."""
    at_end: bool = False
    """Whether it ends with the file."""

    @property
    def old(self) -> tuple[str, ...]:
        """The lines that must be there."""
        return tuple(line[1:] for line in self.body if line[0] != "+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What a patch does to one file."""

    kind: ChangeKind
    path: str
    move_to: str = ""
    """Its new path, when it is moved."""
    hunks: tuple[Hunk, ...] = ()
    content: str = ""
    """All of an added file."""


def apply_hunks(text: str, hunks: Sequence[Hunk], *, path: str) -> str:
    """Return a text with all hunks applied, from top to bottom; `path` is for messages.

    Raises:
        ToolError: a hunk fits nowhere after the one before it.
    """
    lines = text.split("\n")
    start = 0
    for number, hunk in enumerate(hunks, start=1):
        where = f"hunk {number} of {path}"
        place = _place(lines, hunk, start, where)
        rebuilt = _rebuilt(lines, hunk, place)
        lines[place.first : place.first + len(hunk.old)] = rebuilt
        start = place.first + len(rebuilt)
    return "\n".join(lines)


def _rebuilt(lines: Sequence[str], hunk: Hunk, place: LineMatch) -> list[str]:
    rebuilt: list[str] = []
    index = place.first
    for line in hunk.body:
        if line[0] == "+":
            rebuilt.append(place.indent.apply(line[1:]))
            continue
        if line[0] == " ":
            rebuilt.append(lines[index])
        index += 1
    return rebuilt


def _place(lines: Sequence[str], hunk: Hunk, start: int, where: str) -> LineMatch:
    if hunk.header:
        headers = find_lines(lines, [hunk.header], start=start)
        if headers:
            start = headers[0].first + 1
        elif hunk.line is None:
            near = _hint(closest_lines(lines, [hunk.header]))
            raise ToolError(
                f"{where}: there is no line {hunk.header!r} after the hunk before{near}"
            )
    if not hunk.old:
        return _insertion(lines, hunk, start)
    matches = find_lines(lines, hunk.old, start=start)
    if hunk.header and not matches:  # the header may be a line of the hunk itself
        matches = find_lines(lines, hunk.old, start=max(start - 1, 0))
    if not matches:
        near = _hint(closest_lines(lines, hunk.old))
        raise ToolError(f"{where}: its lines are not in the file (after the hunk before){near}")
    if hunk.at_end:
        return matches[-1]
    if hunk.line is None:
        return matches[0]
    expected = hunk.line - 1
    return min(matches, key=lambda match: abs(match.first - expected))


def _insertion(lines: Sequence[str], hunk: Hunk, start: int) -> LineMatch:
    """Place a hunk that only adds: below its header, at its line number, or at the end."""
    end = len(lines) - 1 if lines and lines[-1] == "" else len(lines)
    index = end
    if hunk.header and not hunk.at_end and start:
        index = start
    elif hunk.line is not None and not hunk.at_end:
        index = min(max(hunk.line, start), end)
    return LineMatch(first=index, indent=Indent(), looseness=Looseness.EXACT)


def _hint(near: str) -> str:
    return f"; the closest lines are:\n{near}" if near else "; read the file first"
