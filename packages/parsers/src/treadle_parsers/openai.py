"""Events and records in the shape of OpenAI's chat completions, as plain dicts.

A stream of deltas carries each call's id and name once, on its first delta, and the argument text
piece by piece. Calls that name no tool are left out, and indices are counted without them. What is
returned validates as the types of the `openai` package, which isn't needed here;
`reasoning_content` is the field beside them that serving engines have added.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

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


ChooseId: TypeAlias = Callable[[CallStart], str]
"""Chooses the id that a call is sent under."""


def own_id(start: CallStart) -> str:
    """Return the id of the record: unique within the message alone, unless the model wrote it."""
    return start.id


class DeltaWriter:
    """Turns the events of one stream into the `delta` objects of chat completion chunks."""

    __slots__ = ("_call_id", "_indices")

    def __init__(self, *, call_id: ChooseId = own_id) -> None:
        """A server that answers many turns gives a `call_id` whose ids differ between messages."""
        self._indices: dict[int, int] = {}
        self._call_id = call_id

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
            case CallStart(index, _, name):
                if not name:
                    return {}
                place = self._indices[index] = len(self._indices)
                function = {"name": name, "arguments": ""}
                call_id = self._call_id(event)
                call = {"index": place, "id": call_id, "type": "function", "function": function}
                return {"tool_calls": [call]}
            case ArgumentsDelta(index, text):
                place = self._indices.get(index)
                if place is None:
                    return {}
                return {"tool_calls": [{"index": place, "function": {"arguments": text}}]}
            case CallEnd():
                return {}


def merged(deltas: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Join consecutive deltas into one that says the same; an empty dict when they say nothing."""
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
    calls: dict[int, dict[str, Any]] = {}
    arguments: dict[int, list[str]] = {}
    for delta in deltas:
        for key, parts in texts.items():
            if delta.get(key):
                parts.append(delta[key])
        for call in delta.get("tool_calls", ()):
            known = calls.setdefault(call["index"], {"index": call["index"], "function": {}})
            known.update({key: call[key] for key in ("id", "type") if key in call})
            known["function"].update(call["function"])
            arguments.setdefault(call["index"], []).append(call["function"]["arguments"])
    for index, call in calls.items():
        call["function"]["arguments"] = "".join(arguments[index])
    result: dict[str, Any] = {key: "".join(parts) for key, parts in texts.items() if parts}
    if calls:
        result["tool_calls"] = list(calls.values())
    return result


def accumulated(deltas: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the assistant message that all deltas of one stream add up to.

    It is `message_dict` of the stream's record, where all calls can be read; a stream has told the
    others as well before they turned out bad.
    """
    whole = merged(deltas)
    calls = whole.pop("tool_calls", ())
    result: dict[str, Any] = {"role": "assistant", "content": None, **whole}
    if calls:
        result["tool_calls"] = [
            {key: call[key] for key in ("id", "type", "function")} for call in calls
        ]
    return result


def chunk_dict(
    delta: Mapping[str, Any],
    *,
    completion_id: str,
    model: str,
    created: int,
    choice: int = 0,
    finish_reason: str | None = None,
) -> dict[str, Any]:
    """Return a chat completion chunk with one choice; `created` is in seconds since the epoch."""
    told = {"index": choice, "delta": dict(delta), "finish_reason": finish_reason}
    return {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [told],
    }


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
