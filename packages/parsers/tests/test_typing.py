"""Types by schema, rule by rule of `docs/typing.md`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_parsers import jsondeep, jsontext, pythontext
from treadle_parsers.coercion import to_json
from treadle_parsers.dialects import PYTHON
from treadle_parsers.fitting import fits
from treadle_parsers.literals import LiteralScan
from treadle_parsers.schema import types

RULES = [
    ("02134", {"type": "string"}, '"02134"'),
    ("null", {"type": "string"}, '"null"'),
    (" true ", {"type": "string"}, '" true "'),
    ("3", {}, '"3"'),
    ("3", {"type": "integer"}, "3"),
    (" 3\n", {"type": "integer"}, "3"),
    ("5.0", {"type": "integer"}, "5"),
    ("007", {"type": "integer"}, "7"),
    ("-014", {"type": "integer"}, "-14"),
    ("+3", {"type": "number"}, "3"),
    ("3.10", {"type": "number"}, "3.10"),
    (".5", {"type": "number"}, "0.5"),
    ("1e5", {"type": "number"}, "1e5"),
    ("nan", {"type": "number"}, '"nan"'),
    ("three", {"type": "integer"}, '"three"'),
    ("True", {"type": "boolean"}, "true"),
    ("1", {"type": "boolean"}, "true"),
    ("1", {"type": ["boolean", "integer"]}, "1"),
    ("yes", {"type": "boolean"}, '"yes"'),
    ("null", {"type": ["string", "null"]}, "null"),
    ("None", {"type": ["string", "null"]}, '"None"'),
    ("None", {"type": ["integer", "null"]}, "null"),
    ("null", {"type": "array"}, "null"),
    ("7", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "7"),
    ("7", {"anyOf": [{"type": "string"}, {"type": "null"}]}, '"7"'),
    ("7", {"oneOf": [{"type": "string"}, {"type": "integer"}]}, "7"),
    ("x", {"allOf": [{"type": ["string", "integer"]}, {"type": "string"}]}, '"x"'),
    ("7", {"enum": ["7", 8]}, '"7"'),
    ("8", {"enum": ["7", 8]}, "8"),
    ("8", {"const": 8}, "8"),
    ("[1, 2]", {"type": "array"}, "[1, 2]"),
    ("['a', True]", {"type": "array"}, '["a", true]'),
    ("{'a': None}", {"type": "object"}, '{"a": null}'),
    ("[1, 2", {"type": "array"}, '"[1, 2"'),
    ("5", {"type": "int"}, "5"),
    ("5", {"type": "dict"}, '"5"'),
    ("5", {"$ref": "#/$defs/n"}, "5"),
    ("5", {"$ref": "#/$defs/nowhere"}, '"5"'),
]
ROOT = {"$defs": {"n": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"}}}


@pytest.mark.parametrize(("text", "declared", "expected"), RULES)
def test_a_text_becomes_the_type_that_the_schema_asks_for(text, declared, expected):
    assert to_json(text, declared, ROOT) == expected


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        (5.0, {"type": "integer"}, True),
        (5.5, {"type": "integer"}, False),
        (True, {"type": "integer"}, False),
        ([1, "2"], {"type": "array", "items": {"type": "integer"}}, False),
        ([1.0, 2], {"type": "array", "items": {"type": "integer"}}, True),
        ({"a": 1}, {"properties": {"a": {"type": "string"}}}, False),
        ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}, False),
        ({"b": 1}, {"properties": {"a": {}}}, True),
        ({}, {"required": ["a"]}, True),
        (None, {"type": "string", "nullable": True}, True),
        ("x", {"enum": ["y"]}, False),
        (1, {"const": True}, False),
        (1, {"$ref": "#/$defs/loop"}, True),
        (1, {"type": 3}, True),
        (1, {"anyOf": [{"type": "string"}, {"type": "integer"}]}, True),
        ([], {"anyOf": [{"type": "string"}, {"type": "integer"}]}, False),
    ],
)
def test_a_value_fits_its_schema_or_not(value, schema, expected):
    assert fits(value, schema, ROOT) is expected


def test_a_schema_that_says_nothing_allows_everything():
    assert "string" in types({"description": "x"}, {})
    assert types({"type": ["strange"]}, {}) == types({}, {})


LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(value=LITERALS, size=st.integers(min_value=1, max_value=7))
def test_a_python_literal_becomes_the_same_json_in_every_chunking(value, size):
    text = repr(value)
    whole = pythontext.to_json(text)
    assert whole is not None
    assert json.loads(whole) == value
    scan = LiteralScan(PYTHON)
    out, buffer = "", ""
    for start in range(0, len(text), size):
        buffer += text[start : start + size]
        buffer = buffer[scan.advance(buffer, 0) :]
        out += scan.take()
    scan.advance(buffer, 0, ended=True)
    assert out + scan.take() == whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a\\x41\\n\\'\\q'", '"aA\\n\'\\\\q"'),
        ('"""a "b" c"""', '"a \\"b\\" c"'),
        ("(1, 2)", "[1, 2]"),
        ("[1, 2,]", "[1, 2]"),
        ("{1: 'a'}", '{"1": "a"}'),
        ("1_000", "1000"),
        ("'\\ud83c\\udf88'", '"\\ud83c\\udf88"'),
        ("foo", None),
        ("[1, 2", None),
        ("1 2", None),
    ],
)
def test_python_spellings(text, expected):
    assert pythontext.to_json(text) == expected


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \\\n', max_size=30))
def test_json_is_judged_alike_with_and_without_recursion(text):
    try:
        jsontext.load(text)
    except ValueError:
        valid = False
    else:
        valid = True
    assert jsondeep.is_valid(text) is valid
