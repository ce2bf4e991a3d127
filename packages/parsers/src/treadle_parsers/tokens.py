"""Token ids in, records out: tells the special token `<tool_call>` from text that spells the
same.

Text that a model spells out with ordinary tokens is never a marker where the vocabulary has a
special token for that marker. Such text is passed through the parser with its first character
masked, one character for one, so spans hold, and is unmasked in everything that comes out. Bytes
are decoded as UTF-8 across token borders.
"""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from treadle_parsers.cursor import Cursor, Markers
from treadle_parsers.events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    ReasoningDelta,
)
from treadle_parsers.parser import Parser
from treadle_parsers.records import ParsedMessage, ToolCall, ToolSchema

_MASKS = 0x10FF00
"""The first of the private characters that stand for masked ones; text doesn't hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a tokenizer's ids stand for."""

    pieces: Mapping[int, bytes]
    """The bytes of each id."""
    special: frozenset[int]
    """The ids that are special tokens."""

    def special_texts(self) -> tuple[str, ...]:
        """Return the texts of the special tokens."""
        return tuple(self.pieces[one].decode("utf-8", "replace") for one in sorted(self.special))


class TokenStream:
    """One message while its token ids arrive: `feed` them, then `close`."""

    __slots__ = (
        "_closed",
        "_decoder",
        "_literals",
        "_plain",
        "_stream",
        "_unmask",
        "_vocabulary",
        "final_events",
    )

    def __init__(
        self,
        parser: Parser,
        vocabulary: Vocabulary,
        tools: Sequence[ToolSchema] | None = None,
        *,
        prefix: str = "",
    ) -> None:
        self._vocabulary = vocabulary
        self._stream = parser.stream(tools, prefix=prefix)
        self._literals = Markers(tuple(text for text in vocabulary.special_texts() if text))
        firsts = sorted({literal[0] for literal in self._literals.literals})
        self._unmask = {_MASKS + place: first for place, first in enumerate(firsts)}
        self._plain = Cursor()
        self._closed = False
        self.final_events: tuple[Event, ...] = ()
        """The events that closing caused; set by `close`."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> list[Event]:
        """Take the next token ids; return what has become certain. Unknown ids count as no text."""
        events: list[Event] = []
        for one in ids:
            piece = self._vocabulary.pieces.get(one, b"")
            if one in self._vocabulary.special:
                events += self._release(ended=True)
                events += self._stream.feed(piece.decode("utf-8", "replace"))
            else:
                self._plain.feed(self._decoder.decode(piece))
                events += self._release(ended=False)
        return [self._restored(event) for event in events]

    def close(self, finish_reason: str | None = None) -> ParsedMessage:
        """End the text and return the message; a second call returns an equal record."""
        if not self._closed:
            self._closed = True
            last = self._release(ended=True)
            self._stream.close(finish_reason)
            events = (*last, *self._stream.final_events)
            self.final_events = tuple(self._restored(event) for event in events)
        message = self._stream.close(finish_reason)
        return replace(
            message,
            content=message.content.translate(self._unmask),
            reasoning=message.reasoning.translate(self._unmask),
            text=message.text.translate(self._unmask),
            tool_calls=tuple(self._call(call) for call in message.tool_calls),
        )

    def _release(self, *, ended: bool) -> list[Event]:
        """Pass on the plain text that can't be the beginning of a spelled-out marker any more."""
        cursor = self._plain
        if ended:
            cursor.feed(self._decoder.decode(b"", final=True))
            self._decoder.reset()
        cursor.ended = ended
        parts: list[str] = []
        while found := self._literals.search(cursor):
            parts.append(cursor.buffer[cursor.at : found.start()])
            parts.append(self._masked(found.group()))
            cursor.at = found.end()
        stop = len(cursor.buffer) if ended else self._literals.held_from(cursor)
        parts.append(cursor.buffer[cursor.at : stop])
        cursor.at = stop
        text = "".join(parts)
        return self._stream.feed(text) if text else []

    def _masked(self, literal: str) -> str:
        mask = next(chr(code) for code, first in self._unmask.items() if first == literal[0])
        return mask + literal[1:]

    def _call(self, call: ToolCall) -> ToolCall:
        return replace(
            call,
            name=call.name.translate(self._unmask),
            arguments=call.arguments.translate(self._unmask),
            raw=call.raw.translate(self._unmask),
        )

    def _restored(self, event: Event) -> Event:
        match event:
            case ContentDelta(text):
                return ContentDelta(text.translate(self._unmask))
            case ReasoningDelta(text):
                return ReasoningDelta(text.translate(self._unmask))
            case ArgumentsDelta(index, text):
                return ArgumentsDelta(index, text.translate(self._unmask))
            case CallStart(index, call_id, name):
                return CallStart(index, call_id, name.translate(self._unmask))
            case CallEnd():
                return event
