"""Grammar exports: what a format's shape generates, its parser reads; and the exports are well
formed.
"""

import json
import random
import re
from typing import Any

import pytest

from treadle_parsers import get_parser, list_parsers
from treadle_parsers.errors import GrammarError
from treadle_parsers.shapes import (
    Choice,
    Json,
    Literal,
    Pattern,
    RawText,
    Repeated,
    Sequential,
    Shape,
    ToolShape,
)

PARSERS = sorted({get_parser(name).name for name in list_parsers()})
every_format = pytest.mark.parametrize("name", PARSERS)
every_way = pytest.mark.parametrize(
    ("name", "dialect"),
    [
        (name, dialect)
        for name in PARSERS
        for dialect in ("default", *(one.name for one in get_parser(name).format.dialects))
    ],
)
PARAMETERS = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "flag": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "object", "properties": {"zip": {"type": "string"}}, "required": ["zip"]},
        "unit": {"enum": ["c", "f"]},
    },
    "required": ["text", "count"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_it", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}},
]
WORDS = ["0", "17", "aB3dE6gH9", "'a b'", "'it\\'s'", "''"]
"""Texts for patterns."""
VALUES: dict[str, Any] = {"string": "a b", "integer": 3, "boolean": True}


def value(schema: Any) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {key: value(inner) for key, inner in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [value(schema["items"])]
    return VALUES[schema.get("type", "string")]


def generate(shape: Shape, rng: random.Random) -> str:
    match shape:
        case Literal(text):
            return text
        case Json(schema):
            return json.dumps(value(schema))
        case RawText(stop):
            return rng.choice(["", "a b", "x < y\n\n  z"]) + stop
        case Pattern(regex):
            return rng.choice([word for word in WORDS if re.fullmatch(regex, word)])
        case Sequential(parts):
            return "".join(generate(part, rng) for part in parts)
        case Choice(options):
            return generate(rng.choice(options), rng)
        case Repeated(item, separator):
            return separator.join(generate(item, rng) for _ in range(rng.randint(1, 3)))


@every_way
def test_what_the_shape_generates_is_read_without_a_flaw(name, dialect):
    parser = get_parser(name)
    tools = [ToolShape("get_it", PARAMETERS), ToolShape("now", {"type": "object"})]
    shape = parser.format.in_dialect(dialect).bodies[0].shape(tools)
    rng = random.Random(5)
    for _ in range(40):
        text = generate(shape, rng)
        message = parser.parse(text, TOOLS)
        assert message.tool_calls, text
        assert {call.status.value for call in message.tool_calls} == {"ok"}, text
        assert {call.name for call in message.tool_calls} <= {"get_it", "now"}
        assert message.content == "", text


@every_way
def test_every_rule_of_the_grammar_is_defined(name, dialect):
    grammar = get_parser(name).gbnf(TOOLS, dialect=dialect)
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines())
    assert "root" in rules
    for body in rules.values():
        bare = re.sub(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{[^}]*\}', " ", body)
        assert set(re.findall(r"[a-z][a-z0-9]*", bare)) <= set(rules)


@every_way
def test_every_tag_begins_with_its_trigger(name, dialect):
    tag = get_parser(name).structural_tag(TOOLS, dialect=dialect)
    assert json.loads(json.dumps(tag)) == tag
    (trigger,) = tag["format"]["triggers"]
    assert trigger
    for one in tag["format"]["tags"]:
        assert one["begin"].startswith(trigger)
    assert get_parser(name).structural_tag(TOOLS, choice="required")["format"]["type"]


def test_a_grammar_without_tools_is_refused():
    with pytest.raises(GrammarError, match="at least one tool"):
        get_parser("hermes").gbnf([])
