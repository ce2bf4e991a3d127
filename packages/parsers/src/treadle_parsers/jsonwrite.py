"""Calls written as JSON, spaced as chat templates do (`json.dumps`, non-ASCII text as it is)."""

import json
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


def call_object(call: ToolCall, keys: JsonKeys) -> str:
    """Return the call as one JSON object with its name and its arguments."""
    if keys.numbered:
        begin = f"{{{string(keys.id[0])}: {string(str(call.index))}, "
        return begin + call_object(call, replace(keys, numbered=False))[1:]
    if keys.keyed:
        return f"{{{string(call.name)}: {arguments_text(call)}}}"
    return (
        f"{{{string(keys.name[0])}: {string(call.name)}, "
        f"{string(keys.arguments[0])}: {arguments_text(call)}}}"
    )
