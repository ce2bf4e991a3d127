"""The reason of a status says what a person would look for."""

import json
from dataclasses import replace

import pytest

from treadle_parsers import CallStatus, get_parser
from treadle_parsers.diagnosis import reason

PARAMETERS = {
    "type": "object",
    "properties": {
        "n": {"type": "number"},
        "unit": {"enum": ["c", "f"]},
        "deep": {"type": "object", "properties": {"xs": {"items": {"type": "integer"}}}},
    },
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


def said(body, **options):
    text = f"<tool_call>\n{body}\n</tool_call>"
    call = get_parser("hermes").parse(text, TOOLS, **options).tool_calls[0]
    return call.status, reason(call, TOOLS)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"n": "x"}, "argument 'n' is \"x\", the schema asks for number"),
        ({"unit": "k"}, 'argument \'unit\' is "k", the schema asks for one of "c", "f"'),
        ({"deep": {"xs": [1, "2"]}}, "argument 'deep.xs[1]' is \"2\", the schema asks for integer"),
        ({"other": 1}, "argument 'other' isn't declared, and the schema allows no others"),
    ],
)
def test_a_mismatch_names_the_innermost_value(arguments, expected):
    body = json.dumps({"name": "get_weather", "arguments": arguments})
    assert said(body) == (CallStatus.SCHEMA_MISMATCH, expected)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ('{"n": 1,}', "at character"),
        ('{"n": NaN}', "NaN is not JSON"),
        ("[1]", "the arguments are an array, not an object"),
        ('{"n": }', "at character 6"),
    ],
)
def test_unreadable_arguments_say_where(arguments, part):
    status, why = said(f'{{"name": "get_weather", "arguments": {arguments}}}')
    assert status is CallStatus.INVALID_JSON
    assert part in why


def test_an_unknown_tool_names_its_neighbour():
    assert said('{"name": "get_wether", "arguments": {}}') == (
        CallStatus.UNKNOWN_TOOL,
        "no tool is named 'get_wether'; near it: 'get_weather'",
    )
    assert "there are 'get_weather'" in said('{"name": "zzz", "arguments": {}}')[1]


def test_other_statuses_have_their_reason():
    assert said('{"name": "get_weather", "arguments": {"n": 1}}') == (CallStatus.OK, "")
    assert "no tool" in said('{"arguments": {}}')[1]
    call = get_parser("hermes").parse('<tool_call>\n{"name": "f", "argum').tool_calls[0]
    assert "ends before" in reason(call)
    bad = replace(call, status=CallStatus.INVALID_JSON)
    assert reason(replace(bad, arguments='{"n": Infinity}')) == "Infinity is not JSON"
    assert "no arguments" in reason(replace(bad, arguments=" "))
    assert "around them" in reason(replace(bad, arguments="{}"))
    assert reason(replace(bad, arguments="[" * 100_000)) == "the arguments are not JSON"
