"""Reading an answer of any OpenAI-shaped chat server, streamed or whole.

Servers differ in where reasoning stands (`reasoning_content`, `reasoning`, `reasoning_details`,
parts of `content`), in whether arguments are text, and in how calls are cut into deltas. Both ways
give one message in one form.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from treadle_agent_loop.errors import ModelServerError
from treadle_agent_loop.events import EventStream
from treadle_agent_loop.history import content_text, reasoning_of
from treadle_agent_loop.model import FinishReason, Usage
from treadle_parsers import CallStatus, Parser, Span, ToolCall, ToolSchema

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal", "text", "summary", "data")
"""Fields of a delta, or of one of its reasoning details, that continue what came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """What a chat server answered."""

    content: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    details: Any
    """`reasoning_details` as sent: some providers want them back; None where there are none."""
    finish_reason: FinishReason
    usage: Usage


def read_answer(
    answer: Mapping[str, Any], parser: Parser | None, tools: Sequence[ToolSchema]
) -> ChatAnswer:
    """Read a whole answer; `parser` reads calls out of the content where none are structured.

    Raises:
        ModelServerError: it holds no choice.
    """
    choices = cast("list[dict[str, Any]]", answer.get("choices") or [])
    if not choices:
        raise ModelServerError("the server answered without choices", answered=True)
    message = cast("dict[str, Any]", choices[0].get("message") or {})
    calls = _structured_calls(message)
    content = content_text(message.get("content"))
    reasoning = reasoning_of(message) or _thinking_parts(message.get("content"))
    if not calls and parser is not None:
        parsed = parser.parse(content, tools)
        content, calls = parsed.content, parsed.tool_calls
        reasoning = reasoning or parsed.reasoning
    usage = cast("dict[str, Any]", answer.get("usage") or {})
    return ChatAnswer(
        content=content,
        reasoning=reasoning,
        calls=calls,
        details=message.get("reasoning_details"),
        finish_reason=_finish(choices[0].get("finish_reason"), calls),
        usage=Usage(
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
        ),
    )


def join_stream(stream: EventStream) -> dict[str, Any]:
    """Join the chunks of a streamed answer to the form of a whole one.

    Raises:
        ModelServerError: the stream broke off before the answer had ended.
    """
    message: dict[str, Any] = {}
    finish: Any = None
    usage: Any = None
    for chunk in stream.events:
        usage = chunk.get("usage") or usage
        for choice in cast("list[dict[str, Any]]", chunk.get("choices") or []):
            if choice.get("index", 0) == 0:
                _merge(message, cast("dict[str, Any]", choice.get("delta") or {}))
                finish = choice.get("finish_reason") or finish
    if not stream.done and finish is None:
        raise ModelServerError(
            f"the stream broke off after {len(stream.events)} events, before the answer had ended"
        )
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def _merge(target: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = cast("list[dict[str, Any]]", target.setdefault(name, []))
            for piece in cast("list[dict[str, Any]]", value or []):
                _merge_call(_place(calls, piece, ("id",)), piece)
        elif name == "reasoning_details":
            details = cast("list[dict[str, Any]]", target.setdefault(name, []))
            for piece in cast("list[dict[str, Any]]", value or []):
                _merge(_place(details, piece, ("type", "id")), piece)
        elif name in _TEXTS and isinstance(value, str) and isinstance(target.get(name), str):
            target[name] += value
        elif value is not None:
            target[name] = value


def _place(
    entries: list[dict[str, Any]], piece: Mapping[str, Any], identity: Sequence[str]
) -> dict[str, Any]:
    """Return the entry that a piece continues: that of its index, else the last one unless the
    piece names another identity; a new one where there is none.
    """
    index = piece.get("index")
    if index is not None:
        found = [entry for entry in entries if entry.get("index") == index]
    else:
        last = entries[-1:]
        found = [
            entry
            for entry in last
            if all(piece.get(name) in (None, "", entry.get(name)) for name in identity)
        ]
    if found:
        return found[0]
    entries.append({} if index is None else {"index": index})
    return entries[-1]


def _merge_call(entry: dict[str, Any], piece: Mapping[str, Any]) -> None:
    function = cast("dict[str, Any]", entry.setdefault("function", {}))
    added = cast("dict[str, Any]", piece.get("function") or {})
    if piece.get("id"):
        entry["id"] = piece["id"]
    if added.get("name"):
        function["name"] = added["name"]
    arguments = added.get("arguments")
    if isinstance(arguments, str):
        function["arguments"] = function.get("arguments", "") + arguments
    elif arguments is not None:
        function["arguments"] = arguments


def _structured_calls(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    entries = cast("list[dict[str, Any]]", message.get("tool_calls") or [])
    calls: list[ToolCall] = []
    for index, entry in enumerate(entries):
        function = cast("dict[str, Any]", entry.get("function") or {})
        name, arguments = str(function.get("name") or ""), function.get("arguments") or "{}"
        calls.append(
            ToolCall(
                name=name,
                arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
                id=str(entry.get("id") or f"call_{index}"),
                index=index,
                status=CallStatus.OK if name else CallStatus.MISSING_NAME,
                span=Span(start=0, end=0),
                raw="",
            )
        )
    return tuple(calls)


def _thinking_parts(content: Any) -> str:
    """Return the text of `thinking` parts among the content's parts (Mistral's way)."""
    if not isinstance(content, list):
        return ""
    texts: list[str] = []
    for part in cast("list[Any]", content):
        thinking = cast("dict[str, Any]", part).get("thinking") if isinstance(part, dict) else None
        texts.append(content_text(thinking))
    return "".join(texts)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _finish(reason: Any, calls: Sequence[ToolCall]) -> FinishReason:
    if reason == "length":
        return FinishReason.LENGTH
    return FinishReason.TOOL_CALLS if calls else FinishReason.STOP
