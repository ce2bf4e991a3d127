"""Why a call isn't `ok`, in words for people.

Parsers don't keep reasons: a status says all that a program needs. These are found afterwards,
from the record and the tools.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from treadle_parsers import fitting, schema
from treadle_parsers.records import CallStatus, ToolCall, ToolSchema
from treadle_parsers.schema import Schema
from treadle_parsers.toolbox import Toolbox

_SHOWN = 40
"""Most characters of a value that are quoted."""


def reason(call: ToolCall, tools: Sequence[ToolSchema] | None = None) -> str:
    """Say why `call` isn't ok; empty when it is. `tools` are those that it was parsed with."""
    match call.status:
        case CallStatus.OK:
            return ""
        case CallStatus.TRUNCATED:
            return "the text ends before the call does"
        case CallStatus.MISSING_NAME:
            return "the call can be read but names no tool"
        case CallStatus.UNKNOWN_TOOL:
            return _unknown(call.name, Toolbox(tools).names)
        case CallStatus.INVALID_JSON:
            return _unreadable(call.arguments)
        case CallStatus.SCHEMA_MISMATCH:
            return _mismatch(call, Toolbox(tools).schema(call.name))


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; near it: {near[0]!r}" if near else f"; there are {', '.join(map(repr, known))}"
    return f"no tool is named {name!r}{hint if known else ''}"


def _unreadable(arguments: str) -> str:
    if not arguments.strip():
        return "no arguments can be read between the call's markers"
    try:
        value = json.loads(arguments, parse_int=str, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        return f"{error.msg} at character {error.pos} of the arguments"
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "the arguments are not JSON"
    if isinstance(value, dict):
        return "the arguments are JSON, but what stands around them is not as the format wants it"
    kind = "an array" if isinstance(value, list) else "a single value"
    return f"the arguments are {kind}, not an object"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _mismatch(call: ToolCall, root: Schema) -> str:
    try:
        value = json.loads(call.arguments)
    except (ValueError, RecursionError):
        value = None
    found = _misfit("", value, root, root) if isinstance(value, dict) else ""
    return found or "the arguments don't fit the tool's schema"


def _misfit(path: str, value: Any, declared: Schema, root: Schema) -> str:
    """Say what is wrong with the innermost value that doesn't fit."""
    current = schema.resolved(declared, root)
    if isinstance(value, dict):
        properties = schema.mapping(current.get("properties"))
        closed = current.get("additionalProperties") is False
        for key, child in cast("dict[str, Any]", value).items():
            where = f"{path}.{key}" if path else key
            if closed and key not in properties:
                return f"argument {where!r} isn't declared, and the schema allows no others"
            inner = schema.property_schema(current, key, root)
            if inner is not None and not fitting.fits(child, inner, root):
                return _misfit(where, child, inner, root)
    elif isinstance(value, list):
        inner = schema.item_schema(current, root)
        for place, child in enumerate(cast("list[Any]", value)):
            if inner is not None and not fitting.fits(child, inner, root):
                return _misfit(f"{path}[{place}]", child, inner, root)
    return f"argument {path!r} is {_quoted(value)}, the schema asks for {_wanted(current, root)}"


def _wanted(declared: Mapping[str, Any], root: Schema) -> str:
    listed = schema.allowed_values(declared, root)
    if listed:
        return f"one of {', '.join(map(_quoted, listed))}"
    kinds = schema.types(declared, root)
    shown = sorted(kinds - {"integer"} if "number" in kinds else kinds)
    return " or ".join(shown) or "nothing that exists"


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
