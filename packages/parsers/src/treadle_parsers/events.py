"""What a stream reports while text arrives.

Each event is final: the texts of one kind, joined, are a prefix of the final record's text at
every moment and equal to it after close. A call starts once, with its name; its argument texts
are never retracted.
"""

from dataclasses import dataclass
from typing import TypeAlias

from treadle_parsers.records import CallStatus


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """More text for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More text of the thinking block."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """A tool call began; sent once for each index, before its arguments."""

    index: int
    id: str
    name: str
    """Empty only for a call that ends without a readable name."""


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """More text of the arguments of call `index`."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallEnd:
    """Call `index` is complete; nothing more follows for it."""

    index: int
    status: CallStatus


Event: TypeAlias = ContentDelta | ReasoningDelta | CallStart | ArgumentsDelta | CallEnd
