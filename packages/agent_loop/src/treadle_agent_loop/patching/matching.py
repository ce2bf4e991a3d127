"""Finds lines in a text though they were copied loosely: by trailing space, indentation, spacing or
punctuation.

Levels are tried from strict to loose, and the first one with a match decides, so a loose match
never competes with a stricter one. Where indentation differs it must differ in the same way on
every line; the difference is returned, so that what is put in its place can be indented alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

_SPACES = dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2009\u202f\u3000"), " ")
_PUNCTUATION = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-", "…": "..."}
)


class Looseness(StrEnum):
    """What a match had to overlook."""

    EXACT = "exact"
    TRAILING_SPACE = "trailing space"
    INDENTATION = "indentation"
    SPACING = "spacing"
    PUNCTUATION = "punctuation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indent:
    """How the text is indented against what was looked for: a prefix less, then one more."""

    removed: str = ""
    added: str = ""

    def apply(self, line: str) -> str:
        """Indent a line as the text is; blank lines stay."""
        if not line.strip():
            return line
        return self.added + line.removeprefix(self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMatch:
    """Lines of a text that are those looked for."""

    first: int
    """Index of the first line."""
    indent: Indent
    looseness: Looseness


def find_lines(
    text: Sequence[str], wanted: Sequence[str], *, start: int = 0
) -> tuple[LineMatch, ...]:
    """Return where the wanted lines are, from line `start` on, at the strictest level that finds
    any.
    """
    if not wanted:
        return ()
    for looseness, key in _KEYS:
        found = _matches(text, wanted, start, looseness, key)
        if found:
            return tuple(found)
    return ()


def _matches(
    text: Sequence[str],
    wanted: Sequence[str],
    start: int,
    looseness: Looseness,
    key: Callable[[str], str],
) -> list[LineMatch]:
    keys = [key(line) for line in wanted]
    lines = [key(line) for line in text]
    found: list[LineMatch] = []
    index = start
    while index + len(keys) <= len(lines):
        if lines[index] == keys[0] and lines[index : index + len(keys)] == keys:
            indent = _indent(text[index : index + len(keys)], wanted)
            if indent is not None:
                found.append(LineMatch(first=index, indent=indent, looseness=looseness))
                index += len(keys)
                continue
        index += 1
    return found


def _indent(text: Sequence[str], wanted: Sequence[str]) -> Indent | None:
    """Return the indentation that all lines differ by, or None when it isn't the same."""
    differences = {
        _difference(_leading(line), _leading(other))
        for line, other in zip(text, wanted, strict=True)
        if line.strip()
    }
    if len(differences) > 1:
        return None
    return differences.pop() if differences else Indent()


def _difference(has: str, wanted: str) -> Indent:
    shared = 0
    while shared < min(len(has), len(wanted)) and has[-1 - shared] == wanted[-1 - shared]:
        shared += 1
    return Indent(removed=wanted[: len(wanted) - shared], added=has[: len(has) - shared])


def _leading(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _exact(line: str) -> str:
    return line


def _spaced(line: str) -> str:
    return " ".join(line.translate(_SPACES).split())


def _plain(line: str) -> str:
    return " ".join(line.translate(_SPACES).translate(_PUNCTUATION).split())


_KEYS: tuple[tuple[Looseness, Callable[[str], str]], ...] = (
    (Looseness.EXACT, _exact),
    (Looseness.TRAILING_SPACE, str.rstrip),
    (Looseness.INDENTATION, str.strip),
    (Looseness.SPACING, _spaced),
    (Looseness.PUNCTUATION, _plain),
)
