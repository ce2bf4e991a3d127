"""Values as Python shows them, as shapes: what `repr` writes for a value that fits a schema.

What a schema leaves open (objects without properties, arrays without items) is JSON, which every
reader of Python values takes as well.
"""

from treadle_parsers import schema
from treadle_parsers.schema import Schema
from treadle_parsers.shapes import (
    EMPTY,
    Choice,
    Json,
    Literal,
    Pattern,
    Repeated,
    Shape,
    ToolShape,
    arguments,
    choice,
    sequence,
)

STRING = Pattern(
    r"""'([^'\\\x00-\x1f]|\\['\\nrt])*'""",
    r"""("'" ([^'\\\x00-\x1f] | "\\" ['\\nrt])* "'")""",
)
"""A string in single quotes."""


def python_value(declared: Schema, root: Schema, depth: int = 0) -> Shape:
    """Return the shape of a value of the schema `declared`."""
    current = schema.resolved(declared, root)
    listed = schema.allowed_values(current, root)
    if listed is not None:
        return choice([Literal(repr(value)) for value in listed])
    for keyword in ("anyOf", "oneOf"):
        options = schema.branches(current, keyword, root)
        if options:
            return choice([python_value(option, root, depth + 1) for option in options])
    allowed = schema.types(current, root)
    if allowed == schema.ALL_TYPES or depth > schema.MAX_DEPTH:
        return Json(declared, root)
    if "number" in allowed:
        allowed = allowed - {"integer"}
    return choice([_of_type(name, current, root, depth) for name in sorted(allowed)])


def python_scalar(declared: Schema, root: Schema) -> Shape:
    """Return the shape of a value whose objects and arrays are JSON."""
    current = schema.resolved(declared, root)
    allowed = schema.types(current, root)
    if schema.allowed_values(current, root) is None and allowed & {"boolean", "null"}:
        rest = allowed - {"boolean", "null"}
        if allowed == schema.ALL_TYPES:
            return Json(declared, root)
        words = [_of_type(name, current, root, 0) for name in sorted(allowed - rest)]
        return choice([*words, *(Json({**current, "type": name}, root) for name in sorted(rest))])
    if schema.allowed_values(current, root) is not None:
        return python_value(declared, root)
    return Json(declared, root)


def _of_type(name: str, current: Schema, root: Schema, depth: int) -> Shape:
    if name == "boolean":
        return Choice((Literal("True"), Literal("False")))
    if name == "null":
        return Choice((Literal("None"), Literal("null")))
    if name == "string":
        return STRING
    if name == "array" and current.get("items"):
        item = python_value(schema.mapping(current["items"]), root, depth + 1)
        return sequence(Literal("["), Choice((Repeated(item, ", "), EMPTY)), Literal("]"))
    if name == "object" and current.get("properties"):
        inner = ToolShape("", {**current, "$defs": root.get("$defs", {})})

        def one(key: str, part: Schema, _root: Schema) -> Shape:
            return sequence(Literal(f"{key!r}: "), python_value(part, root, depth + 1))

        return sequence(Literal("{"), arguments(inner, one, separator=", "), Literal("}"))
    return Json({**current, "type": name}, root)
