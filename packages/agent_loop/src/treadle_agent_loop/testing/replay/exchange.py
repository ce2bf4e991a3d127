"""Model calls as JSON values: what was asked, and what came of it.

A file of calls has one line an event: `call` (asked and answered), `error` (asked and failed), and
`end` (what a session exported). The first line, `client`, says what was recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from treadle_agent_loop import errors
from treadle_agent_loop.errors import AgentLoopError
from treadle_agent_loop.model import FinishReason, Message, ModelTurn, SamplingParams, Usage
from treadle_parsers import CallStatus, Span, ToolCall, ToolSchema

VERSION = 1


def request_json(
    messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
) -> dict[str, Any]:
    """Return what a model is asked."""
    settings = {
        name: list(cast("Sequence[Any]", value)) if isinstance(value, tuple) else value
        for name, value in asdict(sampling).items()
    }
    return {"messages": list(messages), "tools": list(tools), "sampling": settings}


def turn_json(turn: ModelTurn) -> dict[str, Any]:
    """Return an answer as JSON values."""
    return {
        "message": turn.message,
        "tool_calls": [{**asdict(call), "status": str(call.status)} for call in turn.tool_calls],
        "finish_reason": str(turn.finish_reason),
        "usage": asdict(turn.usage),
        "seconds": turn.seconds,
        "cut_by_context": turn.cut_by_context,
    }


def read_turn(values: Mapping[str, Any]) -> ModelTurn:
    """Return the answer that JSON values stand for."""
    return ModelTurn(
        message=values["message"],
        tool_calls=tuple(_read_call(entry) for entry in values["tool_calls"]),
        finish_reason=FinishReason(values["finish_reason"]),
        usage=Usage(**values["usage"]),
        seconds=values["seconds"],
        cut_by_context=values["cut_by_context"],
    )


def error_json(error: AgentLoopError) -> dict[str, Any]:
    """Return an error as JSON values."""
    return {"kind": type(error).__name__, "message": str(error)}


def read_error(values: Mapping[str, Any]) -> AgentLoopError:
    """Return an error of the recorded class, with the recorded message."""
    kind: Any = getattr(errors, str(values["kind"]), AgentLoopError)
    return kind(values["message"])


def first_difference(recorded: Any, asked: Any, place: str = "") -> str | None:
    """Return where two JSON values differ first, in one line; None when they are equal."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        left, right = cast("dict[str, Any]", recorded), cast("dict[str, Any]", asked)
        for name in dict.fromkeys((*left, *right)):
            inner = f"{place}.{name}" if place else name
            if name not in left or name not in right:
                there = "recorded" if name in left else "asked"
                return f"{inner} is only {there}"
            difference = first_difference(left[name], right[name], inner)
            if difference is not None:
                return difference
        return None
    if isinstance(recorded, list) and isinstance(asked, list):
        ones, others = cast("list[Any]", recorded), cast("list[Any]", asked)
        for index, (one, other) in enumerate(zip(ones, others, strict=False)):
            difference = first_difference(one, other, f"{place}[{index}]")
            if difference is not None:
                return difference
        if len(ones) != len(others):
            return f"{place} has {len(ones)} entries recorded, {len(others)} asked"
        return None
    if recorded == asked and isinstance(recorded, bool) == isinstance(asked, bool):
        return None
    return f"{place}: recorded {_short(recorded, asked)}, asked {_short(asked, recorded)}"


def _short(value: Any, other: Any) -> str:
    """Write a value, of long texts the part around the first difference to the other."""
    if not (isinstance(value, str) and isinstance(other, str)):
        return repr(value)[:80]
    same = next((n for n, (a, b) in enumerate(zip(value, other, strict=False)) if a != b), None)
    start = max((min(len(value), len(other)) if same is None else same) - 20, 0)
    piece = value[start : start + 60]
    return ("..." if start else "") + repr(piece) + ("..." if start + 60 < len(value) else "")


def _read_call(values: Mapping[str, Any]) -> ToolCall:
    typed: dict[str, Any] = {
        **values,
        "status": CallStatus(values["status"]),
        "span": Span(**values["span"]),
    }
    return ToolCall(**typed)
