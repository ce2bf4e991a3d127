"""The text that has arrived and isn't consumed yet, and the waits that every reader is built
from.

Readers are generators: `yield` means "need more text", and the stream resumes them on the next
delta. A reader consumes what it understands at once, so the buffer holds only a bounded
look-ahead and the total work stays linear in any chunking. Positions are absolute: `base` is
where `buffer[0]` stands in the text.
"""

import re
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from treadle_parsers.lookahead import END, LOOK_AHEAD, whole_markers

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""A reader: yields when it needs more text, returns its result."""

_NOT_SPACE = re.compile(r"\S")


class Cursor:
    """A growing text with a read position."""

    __slots__ = ("at", "base", "buffer", "ended")

    def __init__(self, base: int = 0) -> None:
        self.buffer: str = ""
        self.at: int = 0
        self.base: int = base
        self.ended: bool = False

    @property
    def position(self) -> int:
        """Where the read position stands in the whole text."""
        return self.base + self.at

    def feed(self, delta: str) -> None:
        """Append `delta` and drop what was consumed."""
        if self.at:
            self.base += self.at
            self.buffer = self.buffer[self.at :] + delta
            self.at = 0
        else:
            self.buffer += delta

    def peek(self, size: int) -> Steps[str]:
        """Wait for `size` characters; return them without consuming, fewer only at the end."""
        while len(self.buffer) - self.at < size and not self.ended:
            yield
        return self.buffer[self.at : self.at + size]

    def solid(self) -> str:
        """Consume white space that has arrived; return the character after it, empty when that
        hasn't arrived.
        """
        found = _NOT_SPACE.search(self.buffer, self.at)
        if found is None:
            return ""
        self.at = found.start()
        return found.group()

    def skip_space(self) -> Steps[str]:
        """Consume white space; return the character that follows, empty at the end of the text."""
        while True:
            found = _NOT_SPACE.search(self.buffer, self.at)
            if found:
                self.at = found.start()
                return self.buffer[self.at]
            self.at = len(self.buffer)
            if self.ended:
                return ""
            yield

    def looking_at(self, *parts: str, skip: int = 0) -> Steps[bool]:
        """Say whether `parts` follow, white space before each allowed; consume nothing.

        Looks from `skip` characters ahead. The part `END` stands for the end of the text. Waits
        only while the answer is open.
        """
        while True:
            answer = self._match(parts, skip)
            if answer is not None:
                return answer
            if self.ended:
                return False
            yield

    def take(self, literal: str) -> Steps[bool]:
        """Consume white space and `literal` when they follow; a part of them at the end of the
        text too.

        Says whether all of the literal was there.
        """
        if (yield from self.looking_at(literal)):
            yield from self.skip_space()
            self.at += len(literal)
            return True
        if self.may_reach(literal):
            self.at = len(self.buffer)
        return False

    def may_reach(self, *parts: str, skip: int = 0) -> bool:
        """Say whether the text ended within `parts`, everything so far agreeing with them."""
        return self.ended and self._match(parts, skip) is None

    def _match(self, parts: tuple[str, ...], skip: int) -> bool | None:
        at = self.at + skip
        for part in parts:
            found = _NOT_SPACE.search(self.buffer, at)
            end = found.start() if found else len(self.buffer)
            if end - at > LOOK_AHEAD:
                return False
            at = end
            if part == END:
                if found:
                    return False
                return True if self.ended else None
            if self.buffer.startswith(part, at):
                at += len(part)
            elif part.startswith(self.buffer[at : at + len(part)]):
                return None
            else:
                return False
        return True

    def at_marker(self, markers: "Markers") -> Steps[str]:
        """Return which of `markers` stands at the read position, empty when none does."""
        while True:
            if self.ended or not markers.may_grow(self):
                return markers.match(self)
            yield

    def starts_with(self, literal: str) -> Steps[bool]:
        """Consume `literal` when the text goes on with it; wait only while that is open."""
        while True:
            if self.buffer.startswith(literal, self.at):
                self.at += len(literal)
                return True
            arrived = self.buffer[self.at : self.at + len(literal)]
            if self.ended or not literal.startswith(arrived):
                return False
            yield

    def take_to(self, markers: "Markers") -> tuple[str, str]:
        """Consume text up to the next of `markers`, or up to what may be the beginning of one.

        Returns the text and the marker, which isn't consumed; it is empty when none has arrived.
        """
        found = markers.search(self)
        if found:
            stop, marker = found.start(), found.group()
        else:
            stop, marker = len(self.buffer) if self.ended else markers.held_from(self), ""
        text = self.buffer[self.at : stop]
        self.at = stop
        return text, marker

    def skip_to(self, markers: "Markers") -> Steps[str]:
        """Consume text up to the next of `markers`, not the marker; return it, empty at the end."""
        while True:
            _, marker = self.take_to(markers)
            if marker or self.ended:
                return marker
            yield


class Markers:
    """A set of literals to look for, with the rule for a literal that has only partly arrived.

    A literal in `follows` counts only before what the pattern there accepts (see `lookahead`).
    """

    __slots__ = ("_first", "_longest", "_pattern", "_prefixes", "literals")

    def __init__(
        self, literals: tuple[str, ...], follows: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.literals: tuple[str, ...] = tuple(sorted(set(literals), key=len, reverse=True))
        self._longest = max(map(len, self.literals), default=0)
        never = r"(?!)"
        self._pattern = re.compile(whole_markers(self.literals, follows) or never)
        firsts = "".join(sorted({literal[0] for literal in self.literals}))
        self._first = re.compile(f"[{re.escape(firsts)}]" if firsts else never)
        self._prefixes = frozenset(
            literal[:size] for literal in self.literals for size in range(1, len(literal))
        )

    def search(self, cursor: Cursor, skip: int = 0) -> re.Match[str] | None:
        """Find the next whole marker, from `skip` characters ahead; None too when a longer one may
        still grow from it.
        """
        buffer = cursor.buffer
        found = self._pattern.search(buffer, cursor.at + skip)
        if found is None or cursor.ended or len(buffer) - found.start() >= self._longest:
            return found
        return found if self.held_from(cursor, skip) > found.start() else None

    def match(self, cursor: Cursor) -> str:
        """Return the marker at the read position, the longest; empty when there is none."""
        found = self._pattern.match(cursor.buffer, cursor.at)
        return found.group() if found else ""

    def may_grow(self, cursor: Cursor) -> bool:
        """Say whether what has arrived may be the beginning of a marker."""
        rest = cursor.buffer[cursor.at : cursor.at + self._longest]
        return not rest or rest in self._prefixes

    def held_from(self, cursor: Cursor, skip: int = 0) -> int:
        """Return where in the buffer a marker may have begun, from `skip` characters ahead; its
        length when none has.
        """
        buffer, size = cursor.buffer, len(cursor.buffer)
        start = max(cursor.at + skip, size - self._longest)
        while True:
            found = self._first.search(buffer, start)
            if found is None:
                return size
            start = found.start()
            if buffer[start:] in self._prefixes:
                return start
            start += 1
