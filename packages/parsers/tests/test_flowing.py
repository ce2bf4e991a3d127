"""When the value of a tagged argument flows, and what counts as a number."""

from typing import Any

import pytest

from treadle_parsers import CallStatus, ParserStream, get_parser


def stream_of(kinds: Any) -> ParserStream:
    """Return a stream that stands at the value of an argument of these types."""
    parameters = {"type": "object", "properties": {"x": {"type": kinds}}}
    tools = [{"function": {"name": "f", "parameters": parameters}}]
    stream = get_parser("qwen3_coder").stream(tools)
    stream.feed("<tool_call>\n<function=f>\n<parameter=x>\n")
    return stream


@pytest.mark.parametrize(
    ("kinds", "head"),
    [
        (["string", "null"], "nothing"),
        (["string", "null"], "{x"),
        (["string", "integer"], "3 a"),
        (["string", "boolean"], "tru3"),
        ("integer", "many"),
        (["array", "string"], '{"a": 1}'),
    ],
)
def test_a_value_flows_once_it_can_only_be_a_string(kinds, head):
    stream = stream_of(kinds)
    flowed = [event for piece in (*head, " more") for event in stream.feed(piece)]
    assert flowed, head


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        (["string", "null"], "null"),
        (["string", "integer"], "-30"),
        (["string", "number"], "1e5"),
        (["string", "boolean"], "True"),
        (["array", "string"], "[1"),
    ],
)
def test_a_value_that_may_be_another_type_waits(kinds, text):
    stream = stream_of(kinds)
    assert [event for piece in text for event in stream.feed(piece)] == []


def test_digits_of_other_scripts_are_no_numbers():
    [call] = get_parser("pythonic").parse("[f(x=1\u0663)]").tool_calls
    assert call.status is CallStatus.INVALID_JSON
    [call] = get_parser("gemma4").parse("<|tool_call>call:f{x:1\u0663}<tool_call|>").tool_calls
    assert call.arguments == '{"x": "1\u0663"}'
