"""Conversation messages in the forms that servers, chat templates and comparisons need.

The history itself keeps what the model wrote. These functions never change their input.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from treadle_agent_loop.model import Message
from treadle_parsers import ToolCall

REASONING_FIELDS = ("reasoning_content", "reasoning")


def assistant_message(content: str, reasoning: str, calls: Iterable[ToolCall]) -> Message:
    """Build an assistant message in OpenAI form, with every attempted call and always `content`."""
    message: Message = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning_content"] = reasoning
    entries = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]
    if entries:
        message["tool_calls"] = entries
    return message


def reasoning_of(message: Mapping[str, Any]) -> str:
    """Return an assistant message's reasoning, whichever provider's field it is in."""
    for name in REASONING_FIELDS:
        value = message.get(name)
        if isinstance(value, str) and value:
            return value
    details: Any = message.get("reasoning_details")
    parts = _objects(cast("list[Any]", details)) if isinstance(details, list) else []
    return "".join(str(part.get("text") or part.get("summary") or "") for part in parts)


def decoded_arguments(arguments: Any) -> dict[str, Any]:
    """Return a call's arguments as an object; text that is none is kept under `invalid_json`.

    Servers and templates refuse or double-encode arguments that aren't a JSON object, but the model
    should still see what it wrote.
    """
    if isinstance(arguments, dict):
        return cast("dict[str, Any]", arguments)
    try:
        decoded = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        decoded = None
    if isinstance(decoded, dict):
        return cast("dict[str, Any]", decoded)
    return {"invalid_json": arguments if isinstance(arguments, str) else json.dumps(arguments)}


def for_server(messages: Sequence[Message]) -> list[Message]:
    """Return messages that any OpenAI-compatible server takes: named calls, JSON arguments."""
    return [_with_calls(message, _server_call) for message in messages]


def for_template(messages: Sequence[Message]) -> list[Message]:
    """Return messages as chat templates expect them: arguments as objects, content as text."""
    prepared: list[Message] = []
    for message in messages:
        copy = _with_calls(message, _template_call)
        copy["content"] = content_text(message.get("content"))
        prepared.append(copy)
    return prepared


def content_text(content: Any) -> str:
    """Return a message's content as text; of a list of parts, the text parts joined."""
    if isinstance(content, list):
        texts = [part.get("text") for part in _objects(cast("list[Any]", content))]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def canonical_key(message: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what identifies a message whatever a scaffold did to its form.

    Call ids, unknown fields, trailing space, and the spelling of JSON arguments don't count; role,
    text, reasoning-free content and the calls' names and argument values do.
    """
    parts = [str(message.get("role")), content_text(message.get("content")).rstrip()]
    for call in _calls(message):
        function = cast("dict[str, Any]", call.get("function") or call)
        arguments = decoded_arguments(function.get("arguments"))
        parts.append(str(function.get("name")))
        parts.append(json.dumps(arguments, sort_keys=True, ensure_ascii=True))
    return tuple(parts)


def _objects(items: list[Any]) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", message.get("tool_calls") or [])


def _with_calls(message: Message, convert: Any) -> Message:
    copy = dict(message)
    if _calls(message):
        copy["tool_calls"] = [convert(call) for call in _calls(message)]
    else:
        copy.pop("tool_calls", None)
    return copy


def _server_call(call: dict[str, Any]) -> dict[str, Any]:
    function = cast("dict[str, Any]", call["function"])
    arguments = function["arguments"]
    decoded = decoded_arguments(arguments)
    valid = isinstance(arguments, str) and "invalid_json" not in decoded
    text = arguments if valid else json.dumps(decoded, ensure_ascii=False)
    return {**call, "function": {"name": function["name"] or "unnamed", "arguments": text}}


def _template_call(call: dict[str, Any]) -> dict[str, Any]:
    function = cast("dict[str, Any]", call["function"])
    arguments = decoded_arguments(function["arguments"])
    return {**call, "function": {**function, "arguments": arguments}}
