"""Calls written as JSON, spaced as chat templates do (`json.dumps`, non-ASCII text as it is)."""

import json
import re
from dataclasses import replace

from treadle_parsers import jsontext
from treadle_parsers.errors import RenderError
from treadle_parsers.jsonfields import JsonKeys
from treadle_parsers.records import ToolCall


def arguments_text(call: ToolCall) -> str:
    """Return the arguments of `call`, unchanged.

    Raises: RenderError when they aren't a JSON object.
    """
    text = call.arguments or "{}"
    try:
        value = jsontext.load(text)
    except ValueError as error:
        raise RenderError(
            f"the arguments of {call.name!r} are not JSON ({error}): {text[:80]!r}; "
            "render only calls that hold JSON"
        ) from error
    if not isinstance(value, dict | jsontext.TooDeep):
        raise RenderError(
            f"the arguments of {call.name!r} are not a JSON object: {text[:80]!r}; pass an object"
        )
    return text


def string(text: str) -> str:
    """Return `text` as a JSON string."""
    return json.dumps(text, ensure_ascii=False)


def call_object(call: ToolCall, keys: JsonKeys, *, with_id: bool = False) -> str:
    """Return the call as one JSON object with its name, its arguments and perhaps its id."""
    if with_id:
        return f"{call_object(call, keys)[:-1]}, {string(keys.id[0])}: {string(call.id)}}}"
    if keys.numbered:
        begin = f"{{{string(keys.id[0])}: {string(str(call.index))}, "
        return begin + call_object(call, replace(keys, numbered=False))[1:]
    if keys.keyed:
        return f"{{{string(call.name)}: {arguments_text(call)}}}"
    return (
        f"{{{string(keys.name[0])}: {string(call.name)}, "
        f"{string(keys.arguments[0])}: {arguments_text(call)}}}"
    )


STEP = " " * 4
"""One level of indentation."""
_OPEN, _CLOSE = ("{", "["), ("}", "]")
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def indented(text: str) -> str:
    """Return the JSON `text` on lines of their own, four spaces a level, values as written."""
    parts: list[str] = []
    depth = 0
    before = ""
    for found in _TOKENS.finditer(text):
        token = found.group()
        if token in _CLOSE:
            depth -= 1
        if (before not in _OPEN) if token in _CLOSE else (before in _OPEN or before == ","):
            parts.append("\n" + STEP * depth)
        parts.append(": " if token == ":" else token)
        if token in _OPEN:
            depth += 1
        before = token
    return "".join(parts)
