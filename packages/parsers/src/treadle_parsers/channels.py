"""Messages in channels: a header says who a stretch of text is for, and that decides what it is.

<|start|>assistant<|channel|>analysis<|message|>...<|end|> <|start|>assistant
to=functions.f<|channel|>commentary <|constrain|>json<|message|>{"x": 1}<|call|>

A header with a tool as recipient begins a call, one for the model itself begins reasoning, any
other begins content. A header that begins again before it is complete counts from its last
beginning.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from treadle_parsers.cursor import Steps
from treadle_parsers.reading import Reading
from treadle_parsers.records import SegmentKind, ToolCall
from treadle_parsers.shapes import Shape, ToolShape

HEADER_LIMIT = 320
"""Most characters of a header."""

_TO = re.compile(r"\bto=([^\s<]+)")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_LONE = re.compile(r"[\w.:\-/]*")


class ToolMessage(Protocol):
    """What is written in a message for a tool."""

    def read_message(self, reading: Reading, recipient: str, start: int) -> Steps[bool]:
        """Read what follows the header; False when it is no call."""
        ...

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of messages for `tools`."""
        ...

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write `calls`, headers included."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """A body: headers, and calls in the messages for tools."""

    tool: ToolMessage
    starts: tuple[str, ...]
    """Literals that begin a header."""
    end: str = "<|message|>"
    """The literal that ends a header."""
    lone: str = ""
    """A literal that begins a header only as the first thing of the message."""
    reasoning: frozenset[str] = frozenset({"analysis"})
    """Channels and recipients whose text is reasoning."""
    people: frozenset[str] = frozenset({"user", "assistant", "developer", "system"})
    """Recipients that are no tools."""
    hidden: frozenset[str] = frozenset()
    """Recipients whose text is kept as reasoning although it is for neither."""
    untold: bool = False
    """Whether a header without a recipient may hold a call."""

    @property
    def openers(self) -> tuple[str, ...]:
        """What begins a header."""
        return (*self.starts, self.lone) if self.lone else self.starts

    @property
    def strays(self) -> tuple[str, ...]:
        """The literal that ends a header."""
        return (self.end,)

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read a header and what it is for; a marker without a complete header is text."""
        cursor = reading.cursor
        if opener == self.lone and (reading.begun or not (yield from self._is_lone(reading))):
            return False
        stop = -1
        while True:
            stop = cursor.buffer.find(self.end, cursor.at, cursor.at + HEADER_LIMIT)
            waited = len(cursor.buffer) - cursor.at >= HEADER_LIMIT
            if stop >= 0 or waited or cursor.ended:
                break
            yield
        if stop < 0:
            return False
        header = opener + cursor.buffer[cursor.at : stop]
        begun = max(header.rfind(literal) for literal in self.starts)
        header = header[max(begun, 0) :] if self.starts[0] in header[1:] else header
        cursor.at = stop + len(self.end)
        recipients = _TO.findall(header)
        channels = _CHANNEL.findall(header)
        recipient = recipients[-1] if recipients else ""
        if recipient in self.people:
            recipient = ""
        silent = not recipients and not channels
        hidden = recipient in self.reasoning or (recipients and recipients[-1] in self.hidden)
        if hidden:
            reading.turn_to(SegmentKind.REASONING)
        elif recipient or (self.untold and silent):
            yield from self.tool.read_message(reading, recipient, start)
        elif channels and channels[-1] in self.reasoning:
            reading.turn_to(SegmentKind.REASONING)
        return True

    def _is_lone(self, reading: Reading) -> Steps[bool]:
        """Say whether a header goes on at the cursor, deciding as early as that can be told."""
        cursor = reading.cursor
        while True:
            found = _LONE.match(cursor.buffer, cursor.at)
            stop = found.end() if found else cursor.at
            rest = cursor.buffer[stop : stop + len(self.end)]
            if rest == self.end:
                return True
            if not self.end.startswith(rest) or cursor.ended or stop - cursor.at > HEADER_LIMIT:
                return False
            yield

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of messages for `tools`."""
        return self.tool.shape(tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the calls. Raises: RenderError."""
        return self.tool.render(calls)
