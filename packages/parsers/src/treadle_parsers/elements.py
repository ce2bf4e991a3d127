"""Values written as nested elements, turned into JSON by the schema of the argument.

    ]<]minimax[>[<tags>]<]minimax[>[<item>a]<]minimax[>[</item>]<]minimax[>[</tags>

An element with children is an array where the schema wants one, or where all children are called
`item`; else it is an object, in which a key that comes several times holds an array. Text beside
children is kept under `$text`.
"""

import re
from dataclasses import dataclass, field

from treadle_parsers import coercion, schema
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
    tree = _read(text, pattern)
    if tree is None:
        return coercion.encode(text)
    return _json(tree, declared, root)


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
        inner = _items(declared, root)
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
            each = _items(inner, root)
            value = "[" + ", ".join(_json(child, each, root) for child in group) + "]"
        else:
            value = _json(group[0], inner, root)
        parts.append(f"{coercion.encode(key)}: {value}")
    if text.strip():
        parts.append(f"{coercion.encode(TEXT)}: {coercion.encode(text.strip())}")
    return "{" + ", ".join(parts) + "}"


def _items(declared: Schema | None, root: Schema) -> Schema | None:
    """Return the schema of the items of an array."""
    if not declared:
        return None
    current = schema.resolved(declared, root)
    branches = [current]
    for keyword in ("anyOf", "oneOf"):
        branches += schema.branches(current, keyword, root)
    listed = [schema.resolved(branch["items"], root) for branch in branches if "items" in branch]
    return {"anyOf": listed} if len(listed) > 1 else listed[0] if listed else None
