"""From the text of one argument to JSON text, by the tool's schema. The rules are in
`docs/typing.md`.

A string parameter takes its text as it is. Any other type takes JSON, then Python's spelling of
the same value. A text that fits no type the schema allows stays a string, and the check of the
call flags it. Without a schema nothing is guessed: every value is a string.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from treadle_parsers import jsontext, pythontext, schema
from treadle_parsers.schema import Schema

encode: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False).encode
"""Write a value as JSON, non-ASCII text as it is."""

_INTEGER = re.compile(r"[-+]?[0-9]+")
_INTEGRAL = re.compile(r"([-+]?[0-9]+)\.0+")
_NOT_IN_NUMBER = re.compile(r"[^-+.0-9eE]")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


class _Structure(NamedTuple):
    """The type that a bracket begins, and the bracket that ends it."""

    name: str
    close: str


_STRUCTURES = {
    "{": _Structure("object", "}"),
    "[": _Structure("array", "]"),
    "(": _Structure("array", ")"),
}


def is_text(declared: Schema | None, root: Schema) -> bool:
    """Say whether every value of the parameter is a string, so that it can flow while it is
    written.
    """
    if declared is None or not schema.says_types(declared, root):
        return True
    return schema.types(declared, root) == frozenset({"string"})


def to_json(text: str, declared: Schema | None, root: Schema) -> str:
    """Return JSON text for the argument `text`."""
    if is_text(declared, root) or declared is None:
        return encode(text)
    allowed = schema.types(declared, root)
    listed = schema.allowed_values(declared, root)
    if listed is not None and text in listed:
        return encode(text)
    bare = text.strip()
    for reader in (_null, _number, _boolean, _structure):
        found = reader(bare, allowed)
        if found is not None:
            return found
    if "string" in allowed:
        return encode(text)
    return _unfit(text, bare)


def any_json(text: str) -> str:
    """Return `text` when it is JSON, else the string that it is."""
    try:
        jsontext.load(text)
    except ValueError:
        return encode(text)
    return text.strip()


def can_only_be_text(head: str, declared: Schema | None, root: Schema) -> bool:
    """Say whether any argument that begins with `head` becomes a string.

    Without a schema any JSON value counts as one. Once true, true for every longer text.
    """
    head = head.strip()
    if not head:
        return False
    if head[0] in '{[("':
        if declared is None:
            return head[0] == "("
        kind = _STRUCTURES.get(head[0])
        return kind is None or kind.name not in schema.types(declared, root)
    if head[0] in "+-.0123456789":
        return _NOT_IN_NUMBER.search(head) is not None
    word = head.lower()
    return not any(known.startswith(word) for known in ("true", "false", "null", "none"))


def _null(text: str, allowed: frozenset[str]) -> str | None:
    if "null" not in allowed:
        return None
    return "null" if text == "null" or (text == "None" and "string" not in allowed) else None


def _number(text: str, allowed: frozenset[str]) -> str | None:
    if "integer" in allowed:
        if _INTEGER.fullmatch(text):
            return _plain(text)
        integral = _INTEGRAL.fullmatch(text)
        if integral and "number" not in allowed:
            return _plain(integral[1])
    if "number" in allowed and _NUMBER.fullmatch(text):
        return _plain(text)
    return None


def _plain(text: str) -> str | None:
    """Return a number as JSON writes it."""
    try:
        jsontext.load(text)
    except ValueError:
        pass
    else:
        return text
    sign = "-" if text.startswith("-") else ""
    digits = text.lstrip("+-").lstrip("0")
    whole, dot, rest = digits.partition(".")
    fixed = sign + (whole or "0") + (dot + rest if rest and rest[0].isdigit() else "")
    try:
        jsontext.load(fixed)
    except ValueError:
        return None
    return fixed


def _boolean(text: str, allowed: frozenset[str]) -> str | None:
    if "boolean" not in allowed:
        return None
    lowered = text.lower()
    if lowered in ("true", "false"):
        return lowered
    if "integer" not in allowed and text in ("1", "0"):
        return "true" if text == "1" else "false"
    return None


def _structure(text: str, allowed: frozenset[str]) -> str | None:
    kind = _STRUCTURES.get(text[:1])
    if kind is None or kind.name not in allowed or text[-1] != kind.close:
        return None
    try:
        jsontext.load(text)
    except ValueError:
        return pythontext.to_json(text)
    return text


def _unfit(text: str, bare: str) -> str:
    """Keep a text that fits no allowed type: `null` as itself, all else as a string."""
    if bare in ("null", "None"):
        return "null"
    return encode(text)
