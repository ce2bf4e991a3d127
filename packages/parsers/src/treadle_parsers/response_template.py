"""A format from a checkpoint's `response_template`, the metadata that Hugging Face tokenizers
carry.

Reads templates whose anchors are literals and whose tool calls are JSON objects or arrays; the
keys of name and arguments come from the transform. Anchors that are regular expressions and other
content parsers are refused with an error that names them, never read approximately.
"""

from collections.abc import Mapping
from typing import Any, cast

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.errors import TemplateError
from treadle_parsers.format import Format, Thinking
from treadle_parsers.jsonfields import JsonKeys

_REASONING = ("thinking", "reasoning_content", "reasoning")


def format_from_response_template(
    template: Mapping[str, Any], *, name: str = "response_template"
) -> Format:
    """Return the format that `template` describes.

    Raises: TemplateError when the template isn't of version 1 or holds what this format can't
    express.
    """
    if template.get("version", 1) != 1 or not isinstance(template.get("fields"), Mapping):
        raise TemplateError(
            f"a response template of version {template.get('version', 1)!r} with fields "
            f"{type(template.get('fields')).__name__} can't be read; version 1 with a mapping can"
        )
    fields = cast("Mapping[str, Mapping[str, Any]]", template["fields"])
    thinking = tuple(
        Thinking(open=opened, close=_one(key, fields[key], "close"))
        for key in _REASONING
        if key in fields
        for opened in _literals(key, fields[key], "open")
    )
    bodies = _bodies(fields["tool_calls"]) if "tool_calls" in fields else ()
    framing = _framing(fields["content"]) if "content" in fields else ()
    return Format(
        name=name,
        summary="read from a response template",
        models="the checkpoint that carries the template",
        bodies=bodies,
        thinking=thinking,
        framing=framing,
        signature=(),
    )


def _bodies(field: Mapping[str, Any]) -> tuple[JsonCall | JsonArray, ...]:
    if field.get("content", "text") != "json":
        raise TemplateError(
            f"tool calls written as {field.get('content', 'text')!r} can't be read; only 'json' can"
        )
    keys = _keys(field.get("transform"))
    close = _one("tool_calls", field, "close") if "close" in field else ""
    opens = _literals("tool_calls", field, "open")
    if field.get("repeats", False):
        return tuple(JsonCall(open=one, close=close, keys=keys) for one in opens)
    return tuple(JsonArray(open=one, close=close, keys=keys) for one in opens)


def _keys(transform: Any) -> JsonKeys:
    """Return the keys that a transform takes name and arguments from."""
    found = {"name": "name", "arguments": "arguments"}

    def walk(value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in cast("Mapping[str, Any]", value).items():
                if key in found and isinstance(inner, str) and inner.startswith("{content."):
                    found[key] = inner[len("{content.") : -1]
                walk(inner)
        elif isinstance(value, list):
            for inner in cast("list[Any]", value):
                walk(inner)

    walk(transform)
    return JsonKeys(name=(found["name"],), arguments=(found["arguments"],))


def _framing(field: Mapping[str, Any]) -> tuple[str, ...]:
    sides = [side for side in ("open", "close") if side in field]
    return tuple(one for side in sides for one in _literals("content", field, side))


def _literals(name: str, field: Mapping[str, Any], side: str) -> tuple[str, ...]:
    if f"{side}_pattern" in field or side not in field:
        raise TemplateError(
            f"field {name!r} has no literal {side!r} anchor; only literal anchors can be read"
        )
    value = field[side]
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _one(name: str, field: Mapping[str, Any], side: str) -> str:
    return _literals(name, field, side)[0]
