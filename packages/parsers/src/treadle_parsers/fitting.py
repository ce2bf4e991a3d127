"""Whether a value fits a tool's schema: types, listed values, items and properties.

Ranges, patterns and missing properties are left to the tool. A schema that can't be read allows
everything.
"""

from collections.abc import Mapping
from typing import Any, cast

from treadle_parsers.jsontext import TooDeep
from treadle_parsers.schema import (
    COMBINING,
    MAX_DEPTH,
    Schema,
    allowed_values,
    kinds,
    mapping,
    resolved,
    sequence,
    types,
)


def fits(value: Any, schema: object, root: Schema, depth: int = 0) -> bool:
    """Say whether `value` has the types and listed values that `schema` asks for."""
    current = resolved(schema, root)
    if not current or depth > MAX_DEPTH or isinstance(value, TooDeep):
        return True
    if not kinds(value) & types(current, root):
        return False
    if not COMBINING.isdisjoint(current) and not _combination_fits(value, current, root, depth):
        return False
    return _children_fit(value, current, root, depth)


def _combination_fits(value: Any, schema: Schema, root: Schema, depth: int) -> bool:
    listed = allowed_values(schema, root)
    nulled = value is None and schema.get("nullable") is True
    if listed is not None and not nulled and not any(_same(value, one) for one in listed):
        return False
    for keyword in ("anyOf", "oneOf"):
        branches = sequence(schema.get(keyword))
        if branches and not any(fits(value, branch, root, depth + 1) for branch in branches):
            return False
    return all(fits(value, branch, root, depth + 1) for branch in sequence(schema.get("allOf")))


_PLAIN_KEYS = frozenset({"type", "title", "description", "default", "examples"})
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
}


def _plainly_fit(children: list[Any], items: Schema) -> bool:
    """Say whether a type alone is asked for and every child has it; a long array is quick this
    way.
    """
    if not _PLAIN_KEYS.issuperset(items):
        return False
    known = [_PYTHON_TYPES.get(name, ()) for name in types(items, {})]
    allowed = {kind for group in known for kind in group}
    return allowed.issuperset(map(type, children))


def _same(value: Any, listed: Any) -> bool:
    return value == listed and isinstance(value, bool) == isinstance(listed, bool)


def _children_fit(value: Any, schema: Schema, root: Schema, depth: int) -> bool:
    if isinstance(value, list):
        items = schema.get("items")
        if not isinstance(items, Mapping):
            return True
        children = cast("list[Any]", value)
        if _plainly_fit(children, cast("Schema", items)):
            return True
        return all(fits(child, cast("Schema", items), root, depth + 1) for child in children)
    if not isinstance(value, dict):
        return True
    properties = mapping(schema.get("properties"))
    extra = schema.get("additionalProperties")
    for key, child in cast("dict[str, Any]", value).items():
        inner = properties.get(key, extra)
        if inner is False:
            return False
        if isinstance(inner, Mapping) and not fits(child, cast("Schema", inner), root, depth + 1):
            return False
    return True
