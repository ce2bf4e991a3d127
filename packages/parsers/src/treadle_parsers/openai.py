"""Events and records in the shape of OpenAI's chat completions, as plain dicts.

A stream of deltas carries each call's id and name once, on its first delta, and the argument text
piece by piece. Calls that name no tool are left out, and indices are counted without them.
"""

from collections.abc import Iterable
from typing import Any

from treadle_parsers.events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    ReasoningDelta,
)
from treadle_parsers.records import CallStatus, ParsedMessage, ToolCall

READABLE = frozenset({CallStatus.OK, CallStatus.UNKNOWN_TOOL, CallStatus.SCHEMA_MISMATCH})
"""Statuses of calls whose arguments are a JSON object."""


class DeltaWriter:
    """Turns the events of one stream into the `delta` objects of chat completion chunks."""

    __slots__ = ("_indices",)

    def __init__(self) -> None:
        self._indices: dict[int, int] = {}

    def write(self, events: Iterable[Event]) -> list[dict[str, Any]]:
        """Return one delta for each event that has something to say."""
        deltas = (self._delta(event) for event in events)
        return [delta for delta in deltas if delta]

    def _delta(self, event: Event) -> dict[str, Any]:
        match event:
            case ContentDelta(text):
                return {"content": text}
            case ReasoningDelta(text):
                return {"reasoning_content": text}
            case CallStart(index, call_id, name):
                if not name:
                    return {}
                place = self._indices[index] = len(self._indices)
                function = {"name": name, "arguments": ""}
                call = {"index": place, "id": call_id, "type": "function", "function": function}
                return {"tool_calls": [call]}
            case ArgumentsDelta(index, text):
                place = self._indices.get(index)
                if place is None:
                    return {}
                return {"tool_calls": [{"index": place, "function": {"arguments": text}}]}
            case CallEnd():
                return {}


def message_dict(message: ParsedMessage) -> dict[str, Any]:
    """Return the assistant message; only calls whose arguments can be read are in it."""
    result: dict[str, Any] = {"role": "assistant", "content": message.content or None}
    if message.reasoning:
        result["reasoning_content"] = message.reasoning
    calls = [_call(call) for call in message.tool_calls if call.status in READABLE]
    if calls:
        result["tool_calls"] = calls
    return result


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
