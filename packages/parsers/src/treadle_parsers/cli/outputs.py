"""Records and events as JSON.

Every line is one JSON value. Text that the terminal's encoding lacks is escaped, so the output is
always readable JSON.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

from treadle_parsers.diagnosis import reason
from treadle_parsers.events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    ReasoningDelta,
)
from treadle_parsers.records import ParsedMessage, ToolCall, ToolSchema


def record_dict(
    message: ParsedMessage, names: Sequence[str], tools: Sequence[ToolSchema] | None
) -> dict[str, Any]:
    """Return the record of a message that was read in the formats `names`, which all read it
    alike.
    """
    return {
        "format": names[0] if len(names) == 1 else None,
        "candidates": [*names],
        "content": message.content,
        "reasoning": message.reasoning,
        "tool_calls": [call_dict(call, tools) for call in message.tool_calls],
        "segments": [
            {"kind": one.kind.value, "start": one.span.start, "end": one.span.end}
            for one in message.segments
        ],
    }


def call_dict(call: ToolCall, tools: Sequence[ToolSchema] | None) -> dict[str, Any]:
    """Return the record of a call, with the reason of its status."""
    return {
        "index": call.index,
        "id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": call.status.value,
        "reason": reason(call, tools),
        "start": call.span.start,
        "end": call.span.end,
        "raw": call.raw,
    }


def event_dict(event: Event) -> dict[str, Any]:
    """Return an event."""
    match event:
        case ContentDelta(text):
            return {"event": "content", "text": text}
        case ReasoningDelta(text):
            return {"event": "reasoning", "text": text}
        case CallStart(index, call_id, name):
            return {"event": "call_start", "index": index, "id": call_id, "name": name}
        case ArgumentsDelta(index, text):
            return {"event": "arguments", "index": index, "text": text}
        case CallEnd(index, status):
            return {"event": "call_end", "index": index, "status": status.value}


def print_json(value: Any, *, indent: int | None = None) -> None:
    """Print `value`; with an indent over several lines."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "").replace("_", "")
    print(json.dumps(value, ensure_ascii=encoding != "utf8", indent=indent))
