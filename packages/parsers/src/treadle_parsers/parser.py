"""A format's parser: whole text, streams, and rendering, all driven by the same description.

Streaming is the only implementation; `parse` feeds a stream once and closes it. Nothing here does
I/O, and no text raises.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

from treadle_parsers.cursor import Cursor
from treadle_parsers.draft import Draft
from treadle_parsers.errors import StreamClosedError
from treadle_parsers.events import Event
from treadle_parsers.format import Format
from treadle_parsers.plan import Plan
from treadle_parsers.reading import Reading
from treadle_parsers.records import ParsedMessage, ToolCall, ToolSchema
from treadle_parsers.rendering import message_text
from treadle_parsers.toolbox import Toolbox

LENGTH = "length"
"""The finish reason of a text that the token limit cut off."""


class ParserStream:
    """One message while it arrives: `feed` its pieces, then `close`."""

    __slots__ = ("_draft", "_message", "_reading", "_steps", "_texts", "final_events")

    def __init__(self, reading: Reading, before: str = "") -> None:
        self._reading = reading
        self._draft = reading.draft
        self._steps = reading.message()
        self._texts: list[str] = []
        self._message: ParsedMessage | None = None
        self.final_events: tuple[Event, ...] = ()
        """The events that closing caused; set by `close`."""
        if before:
            reading.cursor.feed(before)

    @property
    def held(self) -> int:
        """How many characters wait in the look-ahead buffer; bounded, whatever the text."""
        return len(self._reading.cursor.buffer) - self._reading.cursor.at

    def feed(self, delta: str) -> list[Event]:
        """Take the next piece of the text; return what has become certain.

        Raises: StreamClosedError after `close`.
        """
        if self._message is not None:
            raise StreamClosedError(
                "feed() was called after close(): begin a new stream for a new message"
            )
        self._texts.append(delta)
        self._reading.cursor.feed(delta)
        next(self._steps)
        return self._draft.take()

    def close(self, finish_reason: str | None = None) -> ParsedMessage:
        """End the text and return the message; a second call returns the same record.

        `finish_reason="length"` says that the token limit cut the text off: a call that reaches
        its end without its closing marker is truncated.
        """
        if self._message is None:
            self._reading.length = finish_reason == LENGTH
            self._reading.cursor.ended = True
            for _ in self._steps:
                pass
            self.final_events = tuple(self._draft.take())
            self._message = self._draft.record("".join(self._texts))
        return self._message


class Parser:
    """The parser of one format. Stateless: one object serves any number of messages."""

    __slots__ = ("_plan", "_turn", "format")

    def __init__(self, form: Format) -> None:
        self.format: Format = form
        self._plan = Plan.of(form)
        self._turn = re.compile(form.turn)

    @property
    def name(self) -> str:
        """The name of the format."""
        return self.format.name

    def parse(
        self,
        text: str,
        tools: Sequence[ToolSchema] | None = None,
        *,
        prefix: str = "",
        finish_reason: str | None = None,
    ) -> ParsedMessage:
        """Return the message that `text` holds.

        `tools` (OpenAI form) types and checks the calls. `prefix` is the end of the prompt that
        the text goes on from; what it holds of this message (an open thinking block, the first
        words) belongs to the record.
        """
        stream = self.stream(tools, prefix=prefix)
        stream.feed(text)
        return stream.close(finish_reason)

    def stream(
        self, tools: Sequence[ToolSchema] | None = None, *, prefix: str = ""
    ) -> ParserStream:
        """Begin a message whose text arrives in pieces; arguments as for `parse`."""
        before = self._begun(prefix)
        reading = Reading(
            self._plan, Cursor(-len(before)), Draft(self.format.call_id), Toolbox(tools)
        )
        return ParserStream(reading, before)

    def render(
        self,
        calls: Sequence[ToolCall],
        *,
        content: str = "",
        reasoning: str = "",
        dialect: str | None = None,
    ) -> str:
        """Write a message as the model's chat template would, without the turn's header and end.

        `dialect` names another way of writing the format, for models whose template differs from
        the newest one's; the names are in `format.dialects`.
        Raises: RenderError when the format can't write a call; UnknownDialectError.
        """
        form = self.format.in_dialect(dialect)
        return message_text(form, calls, content=content, reasoning=reasoning)

    def structural_tag(
        self,
        tools: Sequence[ToolSchema],
        *,
        choice: Literal["auto", "required"] = "auto",
        dialect: str | None = None,
    ) -> dict[str, Any]:
        """Return an xgrammar structural tag for calls of `tools` in this format.

        Raises: GrammarError when there is no tool; UnknownDialectError.
        """
        from treadle_parsers.grammars import structural_tag_of  # the exports load on first use

        return structural_tag_of(self.format.in_dialect(dialect), tools, choice)

    def gbnf(self, tools: Sequence[ToolSchema], *, dialect: str | None = None) -> str:
        """Return a GBNF grammar of calls of `tools` in this format.

        Raises: GrammarError when there is no tool; UnknownDialectError.
        """
        from treadle_parsers.grammars import gbnf_of  # the exports load on first use

        return gbnf_of(self.format.in_dialect(dialect), tools)

    def _begun(self, prefix: str) -> str:
        """Return the part of `prefix` that belongs to this message."""
        if not prefix:
            return ""
        headers = list(self._turn.finditer(prefix))
        if headers:
            return prefix[headers[-1].end() :]
        if any(_is_message(prefix, block.open) for block in self.format.thinking):
            return prefix
        begun: list[str] = []
        for block in self.format.thinking:
            _, opener, inside = prefix.rpartition(block.open)
            if opener and block.close not in inside:  # a closed block is an earlier turn's
                begun.append(opener + inside)
        return min(begun, key=len, default="")


def _is_message(prefix: str, opener: str) -> bool:
    """Say whether `prefix` is a message so far, with nothing of the prompt before it."""
    return prefix.lstrip().startswith(opener) and prefix.count(opener) == 1
