"""Patterns that begin with literal text, taken apart: how response templates mark where a part of
a message begins.

A pattern is a regular expression of a small kind: literal characters, classes, groups, and
quantifiers on them. What could take more than linear time is refused when it is read: a quantifier
inside a quantified group, references, lookbehind. So is what the streaming engine has no place for,
a pattern that doesn't begin with literal text. The rest is matched against `HEAD_LIMIT` characters
at most.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from treadle_parsers.errors import TemplateError

_QUANTIFIER = re.compile(r"([*+?]|\{(\d+)(?:,\d*)?\})[?+]?")
_CLASS = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
_GROUP = re.compile(r"\((?:\?P<(?P<name>\w+)>|\?:|(?P<look>\?=)|(?!\?))")
_SAMPLES = {"w": "a", "W": "-", "d": "0", "D": "a", "s": " ", "S": "a"}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One element of a pattern, with its quantifier."""

    regex: str
    sample: str
    """A text that it matches; `{name}` for the group of that name."""
    literal: str = ""
    """The character that it is; empty when it is anything else."""
    group: str = ""
    stop: str = ""
    """A character that ends it, where it is a run of anything else."""
    blank: bool = False
    """Whether it is white space that may be missing."""
    repeats: bool = False
    """Whether a quantifier is in it."""
    edge: bool = False
    """Whether it stands for the end of the text, or for what comes next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where a part of a message begins."""

    open: str
    """The literal it begins with."""
    rest: str = ""
    """Regular expression of what follows; empty when nothing does."""
    end: str = ""
    """A literal that it ends with, or that follows it; empty when there is none."""
    write: str = ""
    """How it is rendered."""


def pieces(pattern: str, groups: Mapping[str, str]) -> list[list[Piece]]:
    """Return the alternatives of `pattern`; of its groups those in `groups` keep a name, the one
    given there.

    Raises: TemplateError, whose message names what can't be read.
    """
    reader = _Reader(pattern, groups)
    found = reader.alternatives()
    if reader.at < len(pattern):
        raise reader.refused("an unmatched ')'")
    return found


def anchor(parts: list[Piece], pattern: str) -> Anchor:
    """Return the anchor that `parts` make. Raises: TemplateError when no literal begins it."""
    while parts and parts[0].blank:
        parts = parts[1:]
    size = next((at for at, part in enumerate(parts) if not part.literal), len(parts))
    opened = "".join(part.literal for part in parts[:size])
    if not opened or any(part.edge for part in parts):
        raise TemplateError(
            f"the pattern {pattern!r} doesn't begin with literal text, or ends with the text's "
            "end; only anchors that begin with a literal can be streamed"
        )
    rest = parts[size:]
    end = ""
    for part in reversed(rest):
        if not part.literal:
            end = end or part.stop
            break
        end = part.literal + end
    return Anchor(
        open=opened,
        rest="".join(part.regex for part in rest),
        end=end,
        write="".join(part.sample for part in parts),
    )


class _Reader:
    """Reads one pattern."""

    def __init__(self, pattern: str, groups: Mapping[str, str]) -> None:
        self._pattern = pattern
        self._groups = groups
        self.at: int = 0

    def refused(self, what: str) -> TemplateError:
        return TemplateError(
            f"the pattern {self._pattern!r} holds {what}, which can't be read in linear time or "
            "as a stream; use literals, classes, and groups without quantifiers inside quantifiers"
        )

    def alternatives(self) -> list[list[Piece]]:
        found: list[list[Piece]] = [[]]
        while self.at < len(self._pattern) and self._pattern[self.at] != ")":
            if self._pattern[self.at] == "|":
                self.at += 1
                found.append([])
            else:
                found[-1].append(self._piece())
        return found

    def _piece(self) -> Piece:
        atom = self._atom()
        quantifier = _QUANTIFIER.match(self._pattern, self.at)
        if not quantifier:
            return atom
        self.at = quantifier.end()
        if (atom.repeats and quantifier[1] != "?") or atom.edge:
            raise self.refused(f"the quantifier {quantifier.group()!r} on a part that repeats")
        least = int(quantifier[2]) if quantifier[2] else int(quantifier[1] == "+")
        return Piece(
            regex=atom.regex + quantifier.group(),
            sample=atom.sample * least,
            group=atom.group,
            stop=atom.stop,
            blank=least == 0 and (atom.literal or atom.sample).isspace(),
            repeats=True,
        )

    def _atom(self) -> Piece:
        char = self._pattern[self.at]
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        self.at += 1
        if char == "\\":
            return self._escape()
        if char == ".":
            return Piece(regex=".", sample="a")
        if char == "$":
            return Piece(regex="", sample="", edge=True)
        if char in "^*+?{":
            raise self.refused(repr(char))
        return Piece(regex=re.escape(char), sample=_braced(char), literal=char)

    def _escape(self) -> Piece:
        char = self._pattern[self.at : self.at + 1]
        self.at += 1
        if char in _CONTROLS:
            return Piece(regex="\\" + char, sample=_CONTROLS[char], literal=_CONTROLS[char])
        if char in _SAMPLES:
            return Piece(regex="\\" + char, sample=_SAMPLES[char], stop=" " if char == "S" else "")
        if char == "Z":
            return Piece(regex="", sample="", edge=True)
        if not char or char.isalnum():
            raise self.refused("the escape \\" + char)
        return Piece(regex=re.escape(char), sample=_braced(char), literal=char)

    def _class(self) -> Piece:
        found = _CLASS.match(self._pattern, self.at)
        if not found:
            raise self.refused("a class that isn't closed")
        self.at = found.end()
        inner = found.group()[1:-1].replace("\\n", "\n")
        if inner[0] != "^":
            sample = _SAMPLES.get(inner[1:2], inner[1:2]) if inner[0] == "\\" else inner[0]
            return Piece(regex=found.group(), sample=sample)
        stops = [char for char in inner[1:] if char not in "\\\n"]
        return Piece(regex=found.group(), sample="a", stop=stops[0] if stops else "\n")

    def _group(self) -> Piece:
        opened = _GROUP.match(self._pattern, self.at)
        if not opened:
            raise self.refused(repr(self._pattern[self.at : self.at + 4]))
        self.at = opened.end()
        inner = self.alternatives()
        if self._pattern[self.at : self.at + 1] != ")":
            raise self.refused("a group that isn't closed")
        self.at += 1
        regex = "|".join("".join(part.regex for part in parts) for parts in inner)
        if opened["look"]:
            return Piece(regex="", sample="", edge=True)
        name = self._groups.get(opened["name"] or "", "")
        last = inner[0][-1] if inner[0] else None
        return Piece(
            regex=f"(?P<{name}>{regex})" if name else f"(?:{regex})",
            sample="{name}" if name == "name" else "".join(part.sample for part in inner[0]),
            group=name,
            stop=last.stop if last else "",
            repeats=any(part.repeats for parts in inner for part in parts),
            edge=any(part.edge for parts in inner for part in parts),
        )


def _braced(char: str) -> str:
    """Return `char` as a text with places for names writes it."""
    return char * 2 if char in "{}" else char
