"""What must follow a marker that counts only before certain text, as a regular expression.

The expressions accept every text that may still grow into what is asked for, so they refuse early
and never too early: whoever reads on decides for good. White space before a part is bounded and
nothing is matched twice, so a refusal costs no more than the text it looked at.
"""

import re
from collections.abc import Mapping, Sequence

LOOK_AHEAD = 256
"""Most characters of white space that a look-ahead crosses."""

END = ""
"""The end of the text, as a part of a look-ahead."""

SPACE = rf"\s{{0,{LOOK_AHEAD}}}+"
"""White space before a part."""


def partly(*parts: str) -> str:
    """Return the pattern of `parts`, white space before each allowed, or of all that has arrived
    of them.
    """
    pattern = ""
    for part in reversed(parts):
        pattern = SPACE + (grown(part, pattern) if part != END else r"\Z")
    return pattern


def any_of(patterns: Sequence[str]) -> str:
    """Return the pattern of any of `patterns`; empty, which accepts all, when one is empty."""
    distinct = tuple(dict.fromkeys(patterns))
    if "" in distinct:
        return ""
    return distinct[0] if len(distinct) == 1 else f"(?:{'|'.join(distinct)})"


def ahead(sequences: Sequence[Sequence[str]]) -> str:
    """Return the pattern of any of `sequences`, as `partly` of each."""
    return any_of([partly(*parts) for parts in sequences])


def string_stop(sequences: Sequence[Sequence[str]]) -> str:
    """Return the pattern of what to look at inside a JSON string: quotes, backslashes, and the
    first character of a sequence whose parts follow it as far as they have arrived.
    """
    firsts = "".join(sorted({re.escape(parts[0][0]) for parts in sequences}))
    rests = [
        f"(?<={re.escape(parts[0][0])})" + grown(parts[0][1:], partly(*parts[1:]))
        for parts in sequences
    ]
    return rf'["\\{firsts}]' + (rf'(?:(?<=["\\])|{"|".join(rests)})' if rests else "")


def arrived(pattern: str) -> str:
    """Return `pattern`, or the end of what has arrived in its place."""
    return rf"(?:\Z|{pattern})"


def grown(literal: str, then: str = "") -> str:
    """Return the pattern of `literal` and `then`, or of all that has arrived of them."""
    pattern = then
    for char in reversed(literal):
        pattern = arrived(re.escape(char) + pattern)
    return pattern


def whole_markers(literals: Sequence[str], follows: Mapping[str, str]) -> str:
    """Return the pattern of any of `literals`, longest first, each before what must follow it."""
    ordered = sorted(set(literals), key=len, reverse=True)
    whole: list[str] = []
    for literal in ordered:
        follow = follows.get(literal, "")
        plain = not follow or any(_overlap(literal, other) for other in ordered)
        whole.append(re.escape(literal) + ("" if plain else f"(?={follow})"))
    return "|".join(whole)


def _overlap(literal: str, other: str) -> bool:
    """Say whether `other` may begin where `literal` stands: then a refusal of `literal` would
    find it.
    """
    if literal != other and literal.startswith(other):
        return True
    tails = [literal[at:] for at in range(1, len(literal))]
    return any(tail.startswith(other) or other.startswith(tail) for tail in tails)
