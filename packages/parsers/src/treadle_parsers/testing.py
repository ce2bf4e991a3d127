"""What every format promises, as checks to run on any text: for this package's tests and for
yours.

`check_text` parses a text whole and in every way of cutting that it is given, and fails unless
all records are equal, the events add up to the record, every character of the text is accounted
for, readable calls hold strict JSON objects, and the look-ahead buffer stays small.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from treadle_parsers.events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    ReasoningDelta,
)
from treadle_parsers.numbertext import BARE_LIMIT
from treadle_parsers.parser import Parser
from treadle_parsers.records import CallStatus, ParsedMessage, SegmentKind, ToolSchema

HELD_LIMIT = BARE_LIMIT + 1024
"""Most characters that a stream may hold back, a value without quotes included."""

_READABLE = frozenset(
    {
        CallStatus.OK,
        CallStatus.UNKNOWN_TOOL,
        CallStatus.SCHEMA_MISMATCH,
        CallStatus.MISSING_NAME,
    }
)


@dataclass(slots=True)
class ToldCall:
    """A call as the events tell it."""

    id: str
    name: str
    arguments: str = ""
    status: CallStatus | None = None


@dataclass(slots=True)
class Told:
    """A message as the events tell it."""

    content: str = ""
    reasoning: str = ""
    calls: dict[int, ToldCall] = field(default_factory=dict[int, ToldCall])


def pieces(text: str, size: int) -> list[str]:
    """Cut `text` into pieces of `size` characters."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def cut_at(text: str, cuts: Iterable[int]) -> list[str]:
    """Cut `text` at the given places, each taken modulo its length."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(places)]


def told(events: Iterable[Event]) -> Told:
    """Add up what `events` tell; AssertionError when they contradict each other."""
    sum_ = Told()
    for event in events:
        match event:
            case ContentDelta(text):
                sum_.content += text
            case ReasoningDelta(text):
                sum_.reasoning += text
            case CallStart(index, call_id, name):
                assert index not in sum_.calls, f"call {index} started twice"
                sum_.calls[index] = ToldCall(call_id, name)
            case ArgumentsDelta(index, text):
                assert sum_.calls[index].status is None, f"arguments after the end of call {index}"
                sum_.calls[index].arguments += text
            case CallEnd(index, status):
                assert sum_.calls[index].status is None, f"call {index} ended twice"
                sum_.calls[index].status = status
    return sum_


def check_events(events: Sequence[Event], message: ParsedMessage) -> None:
    """Check that the events of a whole stream, joined, are exactly the record."""
    said = told(events)
    assert said.content == message.content
    assert said.reasoning == message.reasoning
    assert list(said.calls) == [call.index for call in message.tool_calls]
    for call in message.tool_calls:
        expected = ToldCall(call.id, call.name, call.arguments, call.status)
        assert said.calls[call.index] == expected


def check_calls(message: ParsedMessage) -> None:
    """Check that indices and ids are in order and that readable calls hold JSON objects."""
    calls = message.tool_calls
    assert [call.index for call in calls] == list(range(len(calls)))
    for call in calls:
        assert call.name or call.status is not CallStatus.OK
        if call.status in _READABLE:
            _check_object(call.arguments)


def _check_object(text: str) -> None:
    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    try:
        value = json.loads(text, parse_int=len, parse_constant=refused)
    except RecursionError:
        return  # deeper than the standard library reads
    assert isinstance(value, dict), f"the arguments are no object: {text[:80]!r}"


def check_conserved(message: ParsedMessage, *, prefixed: bool = False) -> None:
    """Check that the segments tile the text and hold content, reasoning and calls.

    With `prefixed`, content and reasoning may begin with text of the prefix.
    """
    at = 0
    for segment in message.segments:
        assert segment.span.start == at < segment.span.end
        at = segment.span.end
    assert at == len(message.text)

    def of(kind: SegmentKind) -> list[str]:
        spans = [s.span for s in message.segments if s.kind is kind]
        return [message.text[span.start : span.end] for span in spans]

    content, reasoning = "".join(of(SegmentKind.CONTENT)), "".join(of(SegmentKind.REASONING))
    assert message.content.endswith(content) if prefixed else message.content == content
    assert message.reasoning.endswith(reasoning) if prefixed else message.reasoning == reasoning
    calls = [(call.raw, call.span.start) for call in message.tool_calls]
    assert [raw for raw, _ in calls if raw or not prefixed] == of(SegmentKind.CALL)
    for raw, start in calls:
        assert message.text[start : start + len(raw)] == raw


def check_text(
    parser: Parser,
    text: str,
    cuts: Sequence[Sequence[str]] = (),
    *,
    tools: Sequence[ToolSchema] | None = None,
    prefix: str = "",
    finish_reason: str | None = None,
) -> ParsedMessage:
    """Parse `text` whole and in every cut of `cuts`, check every promise, return the record."""
    whole = parser.parse(text, tools, prefix=prefix, finish_reason=finish_reason)
    check_conserved(whole, prefixed=bool(prefix))
    check_calls(whole)
    for cut in [[text], *cuts]:
        assert "".join(cut) == text
        stream = parser.stream(tools, prefix=prefix)
        events: list[Event] = []
        for piece in cut:
            events += stream.feed(piece)
            assert stream.held <= HELD_LIMIT, f"{stream.held} characters are held back"
        message = stream.close(finish_reason)
        assert message == whole
        check_events([*events, *stream.final_events], message)
    return whole
