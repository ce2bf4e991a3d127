"""Values written as nested elements, turned into JSON by the schema of the argument.

    ]<]minimax[>[<tags>]<]minimax[>[<item>a]<]minimax[>[</item>]<]minimax[>[</tags>

An element with children is an array where the schema wants one, or where all children are called
`item`; else it is an object, in which a key that comes several times holds an array. Text beside
children is kept under `$text`.
"""

import re
from dataclasses import dataclass, field
from typing import Any, cast

from treadle_parsers import coercion, jsontext, schema
from treadle_parsers.schema import Schema

MAX_DEPTH = 64
"""How deep elements are read; a deeper value stays text."""

ITEM = "item"
TEXT = "$text"


@dataclass(slots=True)
class Element:
    """One element while it is read."""

    key: str
    text: list[str] = field(default_factory=list[str])
    children: list["Element"] = field(default_factory=list["Element"])


def tags(mark: str) -> re.Pattern[str]:
    """Return the pattern of a tag: groups are a slash for a closing one, and the key."""
    return re.compile(re.escape(mark) + r"<(/?)([^<>\s/]+)>")


def to_json(text: str, pattern: re.Pattern[str], declared: Schema | None, root: Schema) -> str:
    """Return JSON for the text of an argument."""
    if declared and not schema.types(declared, root) & {"object", "array"}:
        return coercion.to_json(text, declared, root)
    numbers = _numbers(text, pattern, declared, root) if declared else None
    if numbers is not None:
        return numbers
    tree = _read(text, pattern)
    if tree is None:
        return coercion.encode(text)
    return _json(tree, declared, root)


def _numbers(text: str, pattern: re.Pattern[str], declared: Schema, root: Schema) -> str | None:
    """Return JSON for an array of plain numbers, which may be long; None for anything else."""
    inner = schema.item_schema(declared, root) or {}
    wanted = schema.types(inner, root) == frozenset({"number", "integer"})
    if not wanted or schema.allowed_values(inner, root) is not None:
        return None
    parts = pattern.split(text)
    texts, slashes, keys = parts[::3], parts[1::3], parts[2::3]
    paired = not any(slashes[::2]) and all(slashes[1::2]) and len(slashes) % 2 == 0
    if {*keys} != {ITEM} or not paired or "".join(texts[::2]).strip():
        return None
    leaves = [leaf.strip() for leaf in texts[1::2]]
    try:
        found = jsontext.load(f"[{','.join(leaves)}]")
    except ValueError:
        return None
    values = cast("list[Any]", found) if isinstance(found, list) else []
    plain = {int, float}.issuperset(map(type, values)) and len(values) == len(leaves)
    return f"[{', '.join(leaves)}]" if plain else None


def _read(text: str, pattern: re.Pattern[str]) -> Element | None:
    """Return the tree; None when it is too deep."""
    stack = [Element("")]
    at = 0
    for found in pattern.finditer(text):
        stack[-1].text.append(text[at : found.start()])
        at = found.end()
        key = found[2]
        if not found[1]:
            element = Element(key)
            stack[-1].children.append(element)
            stack.append(element)
            if len(stack) > MAX_DEPTH:
                return None
        elif any(element.key == key for element in stack[1:]):
            while stack.pop().key != key:
                pass
    stack[-1].text.append(text[at:])
    return stack[0]


def _json(element: Element, declared: Schema | None, root: Schema) -> str:
    allowed = schema.types(declared, root) if declared else frozenset[str]()
    text = "".join(element.text)
    if not element.children:
        if not text.strip() and "string" not in allowed:
            if "array" in allowed:
                return "[]"
            if "object" in allowed:
                return "{}"
        return coercion.to_json(text, declared, root)
    items_only = all(child.key == ITEM for child in element.children)
    if items_only or (allowed and "object" not in allowed and "array" in allowed):
        inner = schema.item_schema(declared, root) if declared else None
        return "[" + ", ".join(_json(child, inner, root) for child in element.children) + "]"
    return _object(element, text, declared, root)


def _object(element: Element, text: str, declared: Schema | None, root: Schema) -> str:
    groups: dict[str, list[Element]] = {}
    for child in element.children:
        groups.setdefault(child.key, []).append(child)
    parts: list[str] = []
    for key, group in groups.items():
        inner = schema.property_schema(declared, key, root) if declared else None
        if len(group) > 1:
            each = schema.item_schema(inner, root) if inner else None
            value = "[" + ", ".join(_json(child, each, root) for child in group) + "]"
        else:
            value = _json(group[0], inner, root)
        parts.append(f"{coercion.encode(key)}: {value}")
    if text.strip():
        parts.append(f"{coercion.encode(TEXT)}: {coercion.encode(text.strip())}")
    return "{" + ", ".join(parts) + "}"
