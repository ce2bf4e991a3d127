"""JSON schemas, as far as calls need them: which types and values an argument may have.

Looks through `$ref`, `anyOf`, `oneOf`, `allOf`, `enum`, `const` and lists of types. Never raises
on a strange schema: what can't be read allows everything.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, cast

Schema: TypeAlias = Mapping[str, Any]

ALL_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
MAX_DEPTH = 24
"""How deep schemas are looked through; what lies deeper is allowed."""

_SPELLINGS = {
    "str": "string",
    "text": "string",
    "varchar": "string",
    "char": "string",
    "enum": "string",
    "int": "integer",
    "int32": "integer",
    "int64": "integer",
    "uint": "integer",
    "long": "integer",
    "short": "integer",
    "unsigned": "integer",
    "float": "number",
    "float32": "number",
    "float64": "number",
    "double": "number",
    "num": "number",
    "bool": "boolean",
    "binary": "boolean",
    "dict": "object",
    "map": "object",
    "struct": "object",
    "list": "array",
    "arr": "array",
    "tuple": "array",
    "sequence": "array",
    "set": "array",
    "none": "null",
}
"""Type names that tool lists use although JSON Schema has others."""


def mapping(value: object) -> Schema:
    """Return `value` when it is a mapping, else an empty one."""
    if isinstance(value, dict):  # nearly always, and quicker to tell than a mapping
        return cast("Schema", value)
    return cast("Schema", value) if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """Return `value` when it is a list, else an empty one."""
    if value is None:
        return ()
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return cast("Sequence[Any]", value) if is_list else ()


def resolved(schema: object, root: Schema) -> Schema:
    """Return `schema` with a reference into `root` followed."""
    current = mapping(schema)
    if "$ref" not in current:
        return current
    for _ in range(MAX_DEPTH):
        reference = current.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        target: Any = root
        for part in reference[1:].split("/")[1:]:
            target = mapping(target).get(part.replace("~1", "/").replace("~0", "~"))
        current = mapping(target)
    return current


def branches(schema: Schema, keyword: str, root: Schema) -> list[Schema]:
    """Return the schemas listed under `keyword`, references followed."""
    return [resolved(branch, root) for branch in sequence(schema.get(keyword))]


COMBINING = frozenset({"const", "enum", "anyOf", "oneOf", "allOf", "nullable"})
"""What a schema may say about a value besides its type and its children."""
_TYPING = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf"})


def says_types(schema: object, root: Schema) -> bool:
    """Say whether `schema` says anything about types; a description alone doesn't."""
    return not _TYPING.isdisjoint(resolved(schema, root))


def required(schema: object, root: Schema) -> frozenset[str]:
    """Return the names of the properties that must be there."""
    return frozenset(map(str, sequence(resolved(schema, root).get("required"))))


def alternatives(schema: object, root: Schema) -> list[Schema]:
    """Return the schema and all that it combines, at any depth, each once."""
    waiting: list[object] = [schema]
    found: dict[int, Schema] = {}
    while waiting:
        current = resolved(waiting.pop(), root)
        if id(current) in found:
            continue
        found[id(current)] = current
        for keyword in ("allOf", "oneOf", "anyOf"):
            waiting += reversed(sequence(current.get(keyword)))
    return list(found.values())


def union(schemas: Sequence[Schema]) -> Schema | None:
    """Return the schema of a value that fits any of `schemas`; None when there is none."""
    return {"anyOf": list(schemas)} if len(schemas) > 1 else next(iter(schemas), None)


def property_schema(schema: Schema, name: str, root: Schema) -> Schema | None:
    """Return the schema of property `name`; None when nothing is said about it.

    Of a union of objects it is the union of what they say.
    """
    combined = alternatives(schema, root)
    own = [mapping(each.get("properties")).get(name) for each in combined]
    found = [resolved(inner, root) for inner in own if inner is not None]
    if found:
        return union(found)
    extra = combined[0].get("additionalProperties")
    return resolved(mapping(extra), root) if extra else None


def item_schema(schema: Schema, root: Schema) -> Schema | None:
    """Return the schema of the items of an array; None when nothing is said about them."""
    items = [each["items"] for each in alternatives(schema, root) if "items" in each]
    return union([resolved(each, root) for each in items])


def types(schema: object, root: Schema, depth: int = 0) -> frozenset[str]:
    """Return the types that `schema` allows; all of them when it says nothing."""
    current = resolved(schema, root)
    named = current.get("type")
    if isinstance(named, str) and COMBINING.isdisjoint(current):
        return _named((named,))
    return _combined(current, root, depth) if depth <= MAX_DEPTH else ALL_TYPES


def _combined(current: Schema, root: Schema, depth: int) -> frozenset[str]:
    named = current.get("type")
    allowed = ALL_TYPES
    if isinstance(named, str):
        allowed = _named((named,))
    elif named is not None:
        allowed = _named(tuple(map(str, sequence(named))))
    values = [*sequence(current.get("enum"))]
    if "const" in current:
        values.append(current["const"])
    if values and named is None:
        allowed = frozenset(kind for value in values for kind in kinds(value))
    for keyword in ("anyOf", "oneOf"):
        branches = sequence(current.get(keyword))
        if branches:
            union = [types(branch, root, depth + 1) for branch in branches]
            allowed = allowed & frozenset[str]().union(*union)
    for branch in sequence(current.get("allOf")):
        allowed = allowed & types(branch, root, depth + 1)
    if current.get("nullable") is True:
        allowed = allowed | {"null"}
    return allowed


@lru_cache(maxsize=256)
def _named(names: tuple[str, ...]) -> frozenset[str]:
    known: set[str] = set()
    for name in names:
        spelled = name.lower()
        spelled = _SPELLINGS.get(spelled, spelled)
        if spelled not in ALL_TYPES:
            return ALL_TYPES
        known.add(spelled)
    if "number" in known:
        known.add("integer")
    return frozenset(known) or ALL_TYPES


_KINDS: Mapping[type, frozenset[str]] = {
    type(None): frozenset({"null"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    str: frozenset({"string"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
}


def kinds(value: object) -> frozenset[str]:
    """Return the types of a JSON value."""
    if isinstance(value, float):
        return frozenset({"number", "integer"} if value.is_integer() else {"number"})
    own = _KINDS.get(type(value))
    if own is not None:
        return own
    return next((names for kind, names in _KINDS.items() if isinstance(value, kind)), _KINDS[dict])


def allowed_values(schema: object, root: Schema) -> list[Any] | None:
    """Return the values of `enum` or `const`; None when the schema lists none."""
    current = resolved(schema, root)
    if "const" in current:
        return [current["const"]]
    listed = sequence(current.get("enum"))
    return [*listed] if listed else None
