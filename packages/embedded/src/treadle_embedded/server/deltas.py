"""A streamed message as OpenAI deltas: content, and tool calls while they are written."""

from collections.abc import Sequence
from typing import Any, assert_never
from uuid import uuid4

from treadle_embedded.engine import FinishReason
from treadle_parsers import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    ReasoningDelta,
    get_parser,
)


def new_call_id() -> str:
    """Make a call id that no other call of a conversation has; the hermes format carries none."""
    return f"call_{uuid4().hex[:24]}"


class MessageDeltas:
    """Turns one message's text into deltas. Without a format all text is content."""

    def __init__(self, form: str | None, tools: Sequence[dict[str, Any]]) -> None:
        self._stream = get_parser(form).stream(tools) if form else None
        self._places: dict[int, int] = {}

    @property
    def called(self) -> bool:
        """Whether a tool call was answered."""
        return bool(self._places)

    def feed(self, text: str) -> list[dict[str, Any]]:
        """Return the deltas that this text makes certain."""
        if not text:
            return []
        if self._stream is None:
            return [{"content": text}]
        return self._deltas(self._stream.feed(text))

    def close(self, finish: FinishReason) -> list[dict[str, Any]]:
        """Return what the end of the text makes certain."""
        if self._stream is None:
            return []
        message = self._stream.close(finish.value)
        deltas = self._deltas(self._stream.final_events)
        nameless = "".join(call.raw for call in message.tool_calls if not call.name)
        return [*deltas, {"content": nameless}] if nameless else deltas

    def _deltas(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        return [delta for event in events if (delta := self._delta(event)) is not None]

    def _delta(self, event: Event) -> dict[str, Any] | None:
        match event:
            case ContentDelta(text):
                return {"content": text}
            case ReasoningDelta(text):
                return {"reasoning_content": text}
            case CallStart(index, _, name):
                if not name:
                    return None
                place = self._places[index] = len(self._places)
                function = {"name": name, "arguments": ""}
                call = {
                    "index": place,
                    "id": new_call_id(),
                    "type": "function",
                    "function": function,
                }
                return {"tool_calls": [call]}
            case ArgumentsDelta(index, text):
                if index not in self._places:
                    return None
                part = {"index": self._places[index], "function": {"arguments": text}}
                return {"tool_calls": [part]}
            case CallEnd():
                return None
            case _:
                assert_never(event)
