"""What the command reads: texts, tools and calls. Whatever can't be used is one error that says
where and why.
"""

import codecs
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from treadle_parsers.errors import CommandInputError
from treadle_parsers.records import CallStatus, Span, ToolCall, ToolSchema

_BLOCK = 65536
_TOOL = '{"type": "function", "function": {"name": ..., "parameters": {...}}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenMessage:
    """A message to render."""

    calls: tuple[ToolCall, ...]
    content: str = ""
    reasoning: str = ""


def arriving_text(name: str | None) -> Iterator[str]:
    """Yield the text of a file, or of standard input, as it arrives; line ends stay as they are.

    Raises: CommandInputError when the file can't be read or isn't UTF-8.
    """
    shown = _shown(name)
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    for block in _blocks(name):
        yield _decoded(decoder, block, shown, done - len(decoder.getstate()[0]))
        done += len(block)
    _decoded(decoder, b"", shown, done - len(decoder.getstate()[0]), final=True)


def whole_text(name: str | None) -> str:
    """Return the whole text of a file, or of standard input. Raises: CommandInputError."""
    return "".join(arriving_text(name))


def pieces_of(arriving: Iterator[str], size: int) -> Iterator[str]:
    """Cut the text into pieces of `size` characters; with 0 as it arrives."""
    held = ""
    for text in arriving:
        if not size:
            yield text
            continue
        held += text
        whole = len(held) - len(held) % size
        for at in range(0, whole, size):
            yield held[at : at + size]
        held = held[whole:]
    if held:
        yield held


def read_tools(name: str) -> list[ToolSchema]:
    """Return the tools in a JSON file. Raises: CommandInputError when it isn't a list of them."""
    value = _json(name)
    if not isinstance(value, list):
        raise CommandInputError(f"{name} holds no JSON list of tools; each looks like {_TOOL}")
    tools = cast("list[Any]", value)
    for place, tool in enumerate(tools):
        inner = _mapping(_mapping(tool).get("function", tool))
        parameters = inner.get("parameters", {})
        if not isinstance(inner.get("name"), str) or not isinstance(parameters, dict | None):
            raise CommandInputError(f"{name}: entry {place} is no tool; a tool looks like {_TOOL}")
    return cast("list[ToolSchema]", tools)


def read_message(name: str | None) -> WrittenMessage:
    """Return what a JSON text holds: a list of calls, one call, a record, or an OpenAI message.

    Raises: CommandInputError.
    """
    shown, items = _shown(name), _json(name)
    message = _mapping(items)
    if "tool_calls" in message or "content" in message:
        items = message.get("tool_calls") or cast("list[Any]", [])
    elif message:
        items = [message]
    if not isinstance(items, list):
        raise CommandInputError(
            f"{shown} holds no calls; give a JSON list of calls, a record or an OpenAI message"
        )
    calls = tuple(_call(shown, place, one) for place, one in enumerate(cast("list[Any]", items)))
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    return WrittenMessage(
        calls=calls,
        content=_text(shown, "content", message.get("content")),
        reasoning=_text(shown, "reasoning", reasoning),
    )


def _call(shown: str, place: int, value: Any) -> ToolCall:
    outer = _mapping(value)
    inner = _mapping(outer.get("function", outer))
    name, arguments = inner.get("name"), inner.get("arguments", {})
    if not isinstance(name, str) or not name:
        raise CommandInputError(
            f'{shown}: call {place} has no name; a call looks like {{"name": ..., "arguments": '
            "{...}}"
        )
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(
        name=name,
        arguments=text,
        id=_text(shown, f"id of call {place}", outer.get("id")),
        index=place,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )


def _json(name: str | None) -> Any:
    text = whole_text(name).removeprefix("\ufeff")
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandInputError(f"{_shown(name)} is not JSON: {error}") from error
    except RecursionError as error:
        raise CommandInputError(f"{_shown(name)} is nested too deeply to be read") from error


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _text(shown: str, what: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise CommandInputError(f"{shown}: the {what} is {json.dumps(value)[:60]}, not a string")


def _shown(name: str | None) -> str:
    return "standard input" if name in (None, "-") else str(name)


def _blocks(name: str | None) -> Iterator[bytes]:
    """Yield bytes as they arrive."""
    try:
        if name is not None and name != "-":
            with Path(name).open("rb") as file:
                yield from iter(lambda: file.read(_BLOCK), b"")
        elif sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # it was closed
            raise CommandInputError("standard input is closed; name a file")
        else:
            yield from iter(lambda: os.read(sys.stdin.fileno(), _BLOCK), b"")
    except OSError as error:
        raise CommandInputError(f"{_shown(name)} can't be read: {error.strerror}") from error


def _decoded(
    decoder: codecs.IncrementalDecoder, block: bytes, shown: str, at: int, *, final: bool = False
) -> str:
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        bad = error.object[error.start]
        raise CommandInputError(
            f"{shown} is not UTF-8: byte 0x{bad:02x} at {at + error.start}; convert it first"
        ) from error
