"""Calls with tagged arguments, written as a chat template writes them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from treadle_parsers import coercion
from treadle_parsers.errors import RenderError
from treadle_parsers.jsonwrite import arguments_text
from treadle_parsers.records import ToolCall


class Spelling(StrEnum):
    """How a value that is no string is written between tags."""

    JSON = "json"
    """As JSON."""
    MIXED = "mixed"
    """Objects and arrays as JSON; numbers and booleans as Python shows them."""
    PYTHON = "python"
    """As Python shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """White space between the tags, and how values are spelled."""

    block_lead: str = "\n"
    """After a block opens."""
    call_lead: str = "\n"
    """After the head of a call."""
    before_value: str = "\n"
    after_value: str = "\n"
    after_param: str = "\n"
    after_call: str = "\n"
    between: str = "\n"
    """Between blocks, or between the calls of one block."""
    message: str = ""
    """A header before the block of a call, with `{name}`."""
    one_block: bool = False
    """Whether all calls share one block."""
    empty: str = ""
    """What stands between the head and the end of a call without arguments."""
    spelling: Spelling = Spelling.JSON
    cdata: bool = False
    """Whether a string with markup or newlines is written as a CDATA section."""


def write_calls(
    calls: Sequence[ToolCall],
    *,
    layout: Layout,
    block: tuple[str, str],
    call: tuple[str, str],
    param: tuple[str, str],
) -> str:
    """Return the text of `calls`. Raises: RenderError when one can't be written."""
    written = [_call(one, layout, call, param) for one in calls]
    opened = block[0] + layout.block_lead if block[0] else ""
    closed = layout.after_call + block[1] if block[1] else ""
    if layout.one_block:
        return opened + layout.between.join(written) + closed
    return layout.between.join(
        layout.message.format(name=one.name) + opened + text + closed
        for one, text in zip(calls, written, strict=True)
    )


def _call(one: ToolCall, layout: Layout, call: tuple[str, str], param: tuple[str, str]) -> str:
    head = call[0].format(name=_name(one.name), index=one.index + 1)
    parts = [head + layout.call_lead]
    arguments = cast("dict[str, Any]", json.loads(arguments_text(one)))
    for key, value in arguments.items():
        string = "true" if isinstance(value, str) else "false"
        opened = param[0].format(name=_name(key), string=string, type=_kind(value))
        text = _spelled(value, layout)
        parts.append(opened + layout.before_value + text + layout.after_value + param[1])
        parts.append(layout.after_param)
    if not arguments:
        parts.append(layout.empty)
    return "".join(parts) + call[1]


def _spelled(value: Any, layout: Layout) -> str:
    if isinstance(value, str):
        if layout.cdata and any(char in value for char in "<&\n"):
            return "<![CDATA[" + value.replace("]]>", "]]]]><![CDATA[>") + "]]>"
        return value
    if value is None:
        return "null"  # a template's `None` would be a string wherever the schema allows one
    structured = isinstance(value, dict | list)
    if layout.spelling is Spelling.PYTHON or (layout.spelling is Spelling.MIXED and not structured):
        return repr(value)
    return coercion.encode(value)


def _kind(value: Any) -> str:
    """Return the JSON type of `value`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _name(name: str) -> str:
    if not name or any(char in "<>\"'\n" for char in name) or name != name.strip():
        raise RenderError(f"{name!r} can't be written as a name in a tag; rename it")
    return name
