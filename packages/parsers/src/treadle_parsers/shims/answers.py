"""A message as a serving engine takes it apart: reasoning first, then the answer with its calls.

Engines give the two halves to two plugins. `ReasoningStream` takes the thinking at the beginning
and hands the rest on untouched; `AnswerStream` reads calls and content, and passes on a thinking
block that reaches it as the text it is. Both speak in deltas of chat completions, and a whole text
is fed once and closed, so it gives what its stream gives.
"""

import secrets
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from treadle_parsers.draft import numbered_id
from treadle_parsers.events import CallStart, ContentDelta, Event, ReasoningDelta
from treadle_parsers.format import Format
from treadle_parsers.openai import DeltaWriter, merged
from treadle_parsers.parser import Parser
from treadle_parsers.records import SegmentKind, ToolSchema
from treadle_parsers.shims.aside import Aside

_SHORT = 9
"""Length of the ids that Mistral's chat template demands."""


@dataclass(frozen=True, slots=True)
class _Made:
    form: Format
    parser: Parser


_made: dict[str, _Made] = {}
"""The parsers that `answer_parser` has made, by the names of their formats."""


def answer_parser(form: Format) -> Parser:
    """Return the parser of `form` for texts whose reasoning another plugin has taken out."""
    known = _made.get(form.name)
    if known is None or known.form is not form:
        asides = () if form.calls_in_thinking else form.thinking
        passed = tuple(Aside(open=block.open, close=block.close) for block in asides)
        closes = {block.close for block in form.thinking} & {form.content_frame.close}
        plain = replace(
            form,
            thinking=(),
            bodies=(*form.bodies, *passed),
            framing=(*form.framing, *closes),  # a marker that closes content as well isn't text
        )
        parser = Parser(plain)
        known = _made[form.name] = _Made(form, parser)
    return known.parser


def fresh_id(form: Format, start: CallStart) -> str:
    """Return an id that no other message has, unless the model wrote the id itself.

    A server answers many turns of one conversation, and a client tells their calls apart by id.
    """
    if start.id != form.call_id(start.index, start.name):
        return start.id
    if form.call_id is numbered_id:
        return f"call_{secrets.token_hex(12)}"
    if len(start.id) == _SHORT and start.id.isalnum():
        return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_SHORT))
    return start.id


class AnswerStream:
    """The answer while it arrives; each step returns one delta, empty when nothing is certain."""

    __slots__ = ("_stream", "_writer")

    def __init__(self, parser: Parser, tools: Sequence[ToolSchema] | None = None) -> None:
        """`parser` is the format's own; the one that passes thinking on is made from it."""
        form = parser.format
        self._stream = answer_parser(form).stream(tools)
        self._writer = DeltaWriter(call_id=lambda start: fresh_id(form, start))

    def feed(self, delta: str) -> dict[str, Any]:
        """Take the next piece of the text."""
        return merged(self._writer.write(self._stream.feed(delta)))

    def close(self) -> dict[str, Any]:
        """End the text."""
        self._stream.close()
        return merged(self._writer.write(self._stream.final_events))


def whole_answer(
    parser: Parser, text: str, tools: Sequence[ToolSchema] | None = None
) -> dict[str, Any]:
    """Return what a stream of `text` adds up to, as one delta."""
    stream = AnswerStream(parser, tools)
    return merged([stream.feed(text), stream.close()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one piece of text added."""

    reasoning: str = ""
    rest: str | None = None
    """The text from the answer's beginning on; None while the reasoning lasts."""


class ReasoningStream:
    """The thinking at the beginning of a message, while it arrives."""

    __slots__ = ("_parser", "_prefix", "_stream", "_texts", "ended")

    def __init__(self, parser: Parser, prefix: str = "") -> None:
        """`prefix` is the end of the prompt, which may have opened the block."""
        self._parser = parser
        self._prefix = prefix
        self._stream = parser.stream(prefix=prefix)
        self._texts: list[str] = []
        self.ended: bool = False
        """Whether the answer has begun."""

    def feed(self, delta: str) -> Part:
        """Take the next piece of the text."""
        if self.ended:
            return Part(rest=delta)
        self._texts.append(delta)
        return self._part(self._stream.feed(delta))

    def close(self) -> Part:
        """End the text."""
        if self.ended:
            return Part()
        self._stream.close()
        return self._part(self._stream.final_events)

    def _part(self, events: Iterable[Event]) -> Part:
        told: list[str] = []
        for event in events:
            if isinstance(event, ReasoningDelta):
                told.append(event.text)
            elif isinstance(event, ContentDelta | CallStart):
                self.ended = True
                break
        return Part(reasoning="".join(told), rest=self._rest() if self.ended else None)

    def _rest(self) -> str:
        """Return the text after the thinking block, which markers that close it don't belong to."""
        text = "".join(self._texts)
        end = answer = 0
        for segment in self._parser.parse(text, prefix=self._prefix).segments:
            answer = segment.span.start
            if segment.kind in (SegmentKind.CONTENT, SegmentKind.CALL):
                break
            if segment.kind is SegmentKind.REASONING:
                end = segment.span.end
        gap = text[end:answer]
        for block in self._parser.format.thinking:
            _, closed, after = gap.rpartition(block.close)
            if closed:
                return after.lstrip() + text[answer:]
        return gap + text[answer:]


def tool_schemas(tools: Iterable[Any] | None) -> list[dict[str, Any]]:
    """Return an engine's tools, models or mappings, in the form that `tools=` takes."""
    return [_schema(_dumped(tool)) for tool in tools or ()]


def _dumped(tool: Any) -> Mapping[str, Any]:
    if isinstance(tool, Mapping):
        return cast("Mapping[str, Any]", tool)
    dump = cast("Callable[..., Mapping[str, Any]]", tool.model_dump)
    return dump(mode="json", exclude_none=True)


def _schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    if "function" in tool:
        return {"type": "function", "function": tool["function"]}
    return {"type": "function", "function": dict(tool)}
