"""Shapes as xgrammar structural tags: the JSON that serving engines take to constrain generation.

`auto` lets text run free until a call begins; `required` demands a call at once.
"""

from typing import Any, assert_never
from typing import Literal as OneOf

from treadle_parsers.shapes import (
    Choice,
    Json,
    Literal,
    Pattern,
    RawText,
    Repeated,
    Sequential,
    Shape,
    sequence,
)

ToolChoice = OneOf["auto", "required"]


def structural_tag(shape: Shape, choice: ToolChoice) -> dict[str, Any]:
    """Return the structural tag for calls of `shape`."""
    if choice == "required":
        return {"type": "structural_tag", "format": _format(shape)}
    repeated = shape.item if isinstance(shape, Repeated) else shape
    options = repeated.options if isinstance(repeated, Choice) else (repeated,)
    tags = [_tag(option) for option in options]
    trigger = _shared([tag["begin"] for tag in tags])
    free = {"type": "triggered_tags", "triggers": [trigger], "tags": tags}
    return {"type": "structural_tag", "format": free}


def _shared(begins: list[str]) -> str:
    """Return what all of `begins` begin with."""
    first, last = min(begins), max(begins)
    same = next((at for at, char in enumerate(first) if last[at] != char), len(first))
    return first[:same]


def _tag(shape: Shape) -> dict[str, Any]:
    """Return `shape` as a tag: its first literal, what is between, its last literal."""
    parts = list(shape.parts) if isinstance(shape, Sequential) else [shape]
    begin = end = ""
    if isinstance(parts[0], Literal):
        begin = parts.pop(0).text  # type: ignore[union-attr]
    if parts and isinstance(parts[-1], Literal):
        end = parts.pop().text  # type: ignore[union-attr]
    content = _format(sequence(*parts)) if parts else {"type": "const_string", "value": ""}
    return {"type": "tag", "begin": begin, "content": content, "end": end}


def _format(shape: Shape) -> dict[str, Any]:
    match shape:
        case Literal(text):
            return {"type": "const_string", "value": text}
        case Json(schema, root):
            return {"type": "json_schema", "json_schema": _with_definitions(schema, root)}
        case RawText(stop):
            return {"type": "tag", "begin": "", "content": {"type": "any_text"}, "end": stop}
        case Pattern(regex, _):
            return {"type": "regex", "pattern": regex}
        case Sequential(parts):
            return {"type": "sequence", "elements": [_format(part) for part in parts]}
        case Choice(options):
            return {"type": "or", "elements": [_format(option) for option in options]}
        case Repeated(item, separator):
            options = item.options if isinstance(item, Choice) else (item,)
            return {
                "type": "tags_with_separator",
                "tags": [_tag(option) for option in options],
                "separator": separator,
                "at_least_one": True,
            }
        case _:
            assert_never(shape)


def _with_definitions(schema: Any, root: Any) -> dict[str, Any]:
    """Return `schema` with the definitions that its references lead to."""
    definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
    return {**definitions, **schema}
