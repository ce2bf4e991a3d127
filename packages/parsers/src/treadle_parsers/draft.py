"""The message while it is being read: collects text, calls and segments, and the events they cause.

Everything a reader learns passes through here once, so events and the final record can't disagree:
the record's texts are the joined texts of the events.
"""

from collections.abc import Callable
from typing import TypeAlias

from treadle_parsers.events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    ReasoningDelta,
)
from treadle_parsers.records import (
    CallStatus,
    ParsedMessage,
    Segment,
    SegmentKind,
    Span,
    ToolCall,
)

MAX_CALLS = 16_384
"""Most calls of one message; what would begin another is text. No answer of a model comes near,
and a text made of the shortest calls stays quick.
"""
CallId: TypeAlias = Callable[[int, str], str]
"""Makes an id for a call that brings none: from its index and its name."""


def numbered_id(index: int, _name: str) -> str:
    """Return `call_<index>`: unique within the message."""
    return f"call_{index}"


class CallDraft:
    """One attempted call while it is being read."""

    __slots__ = ("_draft", "_parts", "_started", "end", "id", "index", "name", "start", "status")

    def __init__(self, draft: "Draft", index: int, start: int) -> None:
        self._draft = draft
        self._parts: list[str] = []
        self._started = False
        self.index: int = index
        self.start: int = start
        self.end: int = start
        self.name: str = ""
        self.id: str = ""
        self.status: CallStatus = CallStatus.TRUNCATED

    @property
    def arguments(self) -> str:
        """The argument text so far."""
        return "".join(self._parts)

    def begin(self, name: str, call_id: str = "") -> None:
        """Report the name, once; argument text that came before it follows at once."""
        if self._started:
            return
        self._started = True
        self.name = name
        self.id = call_id or self.id or self._draft.call_id(self.index, name)
        self._draft.events.append(CallStart(self.index, self.id, name))
        if self._parts:
            self._draft.events.append(ArgumentsDelta(self.index, self.arguments))

    def add(self, text: str) -> None:
        """Append argument text; it is reported as soon as the name is known."""
        if text:
            self._parts.append(text)
            if self._started:
                self._draft.events.append(ArgumentsDelta(self.index, text))

    def finish(self, status: CallStatus, end: int) -> None:
        """Close the record; `end` is the absolute end of its span."""
        self.begin(self.name)
        self.status = status
        self.end = end
        self._draft.mark(SegmentKind.CALL, self.start, end)
        self._draft.events.append(CallEnd(self.index, status))


class Draft:
    """The message so far."""

    __slots__ = ("_content", "_ends", "_kinds", "_reasoning", "call_id", "calls", "events")

    def __init__(self, call_id: CallId = numbered_id) -> None:
        self.call_id: CallId = call_id
        self.calls: list[CallDraft] = []
        self.events: list[Event] = []
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._kinds: list[SegmentKind] = []
        self._ends: list[int] = []

    def take(self) -> list[Event]:
        """Return the events since the last take."""
        events = self.events
        if events:
            self.events = []
            return events
        return []

    def content(self, text: str) -> None:
        """Append text for the user."""
        self._content.append(text)
        self.events.append(ContentDelta(text))

    def reasoning(self, text: str) -> None:
        """Append text of the thinking block."""
        self._reasoning.append(text)
        self.events.append(ReasoningDelta(text))

    def call(self, start: int) -> CallDraft:
        """Open the record of an attempted call whose span begins at `start`."""
        call = CallDraft(self, len(self.calls), start)
        self.calls.append(call)
        return call

    @property
    def full(self) -> bool:
        """Whether the message has as many calls as it may have."""
        return len(self.calls) >= MAX_CALLS

    def mark(self, kind: SegmentKind, start: int, end: int) -> None:
        """Say what the text up to `end` is; what lies unclaimed before `start` is framing."""
        if end <= start:
            return
        last = self._ends[-1] if self._ends else 0
        if start > last:
            self._extend(SegmentKind.FRAMING, start)
            last = start
        if end > last:
            self._extend(kind, end)

    def _extend(self, kind: SegmentKind, end: int) -> None:
        if self._kinds and self._kinds[-1] is kind and kind is not SegmentKind.CALL:
            self._ends[-1] = end
        else:
            self._kinds.append(kind)
            self._ends.append(end)

    def record(self, text: str) -> ParsedMessage:
        """Return the finished message; `text` is the whole input."""
        if len(text) > (self._ends[-1] if self._ends else 0):
            self._extend(SegmentKind.FRAMING, len(text))
        starts = [0, *self._ends]
        return ParsedMessage(
            content="".join(self._content),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(_finished(call, text) for call in self.calls),
            text=text,
            segments=tuple(
                Segment(kind=kind, span=Span(start=start, end=end))
                for kind, start, end in zip(self._kinds, starts, self._ends, strict=False)
            ),
        )


def _finished(call: CallDraft, text: str) -> ToolCall:
    start, end = max(call.start, 0), max(call.end, 0)
    return ToolCall(
        name=call.name,
        arguments=call.arguments,
        id=call.id,
        index=call.index,
        status=call.status,
        span=Span(start=start, end=end),
        raw=text[start:end],
    )
