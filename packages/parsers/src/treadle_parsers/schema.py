"""JSON schemas, as far as calls need them: which types a value may have, and whether a value
fits.

Looks through `$ref`, `anyOf`, `oneOf`, `allOf`, `enum`, `const` and lists of types. Checks types,
enumerations, items and properties; leaves ranges, patterns and missing properties to the tool.
Never raises on a strange schema: what can't be read allows everything.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from treadle_parsers.jsontext import TooDeep

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
    return cast("Schema", value) if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[Any]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return cast("Sequence[Any]", value) if is_list else ()


def resolved(schema: object, root: Schema) -> Schema:
    """Return `schema` with a reference into `root` followed."""
    current = mapping(schema)
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
    return [resolved(branch, root) for branch in _sequence(schema.get(keyword))]


_TYPING = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf"})


def says_types(schema: object, root: Schema) -> bool:
    """Say whether `schema` says anything about types; a description alone doesn't."""
    return not _TYPING.isdisjoint(resolved(schema, root))


def required(schema: object, root: Schema) -> frozenset[str]:
    """Return the names of the properties that must be there."""
    return frozenset(map(str, _sequence(resolved(schema, root).get("required"))))


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
            waiting += reversed(_sequence(current.get(keyword)))
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
    if depth > MAX_DEPTH:
        return ALL_TYPES
    allowed = ALL_TYPES
    named = current.get("type")
    if isinstance(named, str):
        allowed = _named((named,))
    elif named is not None:
        allowed = _named(_sequence(named))
    values = [*_sequence(current.get("enum"))]
    if "const" in current:
        values.append(current["const"])
    if values and named is None:
        allowed = frozenset(kind for value in values for kind in _kinds(value))
    for keyword in ("anyOf", "oneOf"):
        branches = _sequence(current.get(keyword))
        if branches:
            union = [types(branch, root, depth + 1) for branch in branches]
            allowed = allowed & frozenset[str]().union(*union)
    for branch in _sequence(current.get("allOf")):
        allowed = allowed & types(branch, root, depth + 1)
    if current.get("nullable") is True:
        allowed = allowed | {"null"}
    return allowed


def _named(names: Sequence[Any]) -> frozenset[str]:
    known: set[str] = set()
    for name in names:
        spelled = str(name).lower()
        spelled = _SPELLINGS.get(spelled, spelled)
        if spelled not in ALL_TYPES:
            return ALL_TYPES
        known.add(spelled)
    if "number" in known:
        known.add("integer")
    return frozenset(known) or ALL_TYPES


def _kinds(value: object) -> frozenset[str]:
    """Return the types of a JSON value."""
    if value is None:
        return frozenset({"null"})
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int):
        return frozenset({"integer", "number"})
    if isinstance(value, float):
        return frozenset({"number", "integer"} if value.is_integer() else {"number"})
    if isinstance(value, str):
        return frozenset({"string"})
    return frozenset({"array"} if isinstance(value, list) else {"object"})


def allowed_values(schema: object, root: Schema) -> list[Any] | None:
    """Return the values of `enum` or `const`; None when the schema lists none."""
    current = resolved(schema, root)
    if "const" in current:
        return [current["const"]]
    listed = _sequence(current.get("enum"))
    return [*listed] if listed else None


def fits(value: Any, schema: object, root: Schema, depth: int = 0) -> bool:
    """Say whether `value` has the types and listed values that `schema` asks for."""
    current = resolved(schema, root)
    if not current or depth > MAX_DEPTH or isinstance(value, TooDeep):
        return True
    if not _kinds(value) & types(current, root):
        return False
    listed = allowed_values(current, root)
    nulled = value is None and current.get("nullable") is True
    if listed is not None and not nulled and not any(_same(value, one) for one in listed):
        return False
    for keyword in ("anyOf", "oneOf"):
        branches = _sequence(current.get(keyword))
        if branches and not any(fits(value, branch, root, depth + 1) for branch in branches):
            return False
    if not all(fits(value, branch, root, depth + 1) for branch in _sequence(current.get("allOf"))):
        return False
    return _children_fit(value, current, root, depth)


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
