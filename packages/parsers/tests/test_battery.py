"""The same hostile situations for every format: right, or named here as ambiguous with the
reason.

A format whose strings have no quotes can't tell its own structure from the same characters in a
value; `docs/typing.md` says how those cases are decided.
"""

import contextlib
import json
from typing import Any

import pytest

from treadle_parsers import (
    CallStatus,
    ParsedMessage,
    Parser,
    RenderError,
    Span,
    ToolCall,
    get_parser,
    list_parsers,
)
from treadle_parsers.bodies.literal_calls import LiteralCalls
from treadle_parsers.bodies.nested_calls import NestedCalls
from treadle_parsers.bodies.suffixed_calls import SuffixedCalls
from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.channels import Channels
from treadle_parsers.testing import check_text, pieces

PARAMETERS = {
    "type": "object",
    "properties": {
        "s": {"type": "string"},
        "n": {"type": "integer"},
        "b": {"type": "boolean"},
        "a": {"type": "array", "items": {"type": "integer"}},
        "o": {"type": "object", "properties": {"s": {"type": "string"}}},
        "u": {"type": ["string", "null"]},
    },
}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": PARAMETERS}}]


def call(arguments: Any, *, name: str = "f", index: int = 0) -> ToolCall:
    text = json.dumps(arguments, ensure_ascii=False)
    span = Span(start=0, end=0)
    return ToolCall(
        name=name, arguments=text, id="", index=index, status=CallStatus.OK, span=span, raw=""
    )


def tagged(parser: Parser) -> bool:
    """Whether strings stand between tags, without quotes."""
    body: Any = parser.format.bodies[0]
    if isinstance(body, Channels):
        body = body.tool
    return isinstance(body, TaggedCalls | NestedCalls | SuffixedCalls)


PARSERS = sorted({get_parser(name).name for name in list_parsers()})
every_format = pytest.mark.parametrize("name", PARSERS)


def self_typed(parser: Parser) -> bool:
    return parser.name == "muse_glimmer"


def parsed(parser: Parser, text: str, **options: Any) -> ParsedMessage:
    cuts = [pieces(text, 1), pieces(text, 3)]
    return check_text(parser, text, cuts, tools=TOOLS, **options)


def read_back(parser: Parser, *sources: Any) -> list[Any]:
    calls = [call(source, index=index) for index, source in enumerate(sources)]
    message = parsed(parser, parser.render(calls))
    assert [one.status for one in message.tool_calls] == [CallStatus.OK] * len(sources)
    return [json.loads(one.arguments) for one in message.tool_calls]


def markers(parser: Parser) -> list[str]:
    form = parser.format
    bodies = [literal for body in form.bodies for literal in (*body.openers, *body.strays)]
    blocks = [literal for block in form.thinking for literal in (block.open, block.close)]
    return [literal for literal in (*bodies, *blocks, *form.framing) if len(literal) > 2]


STRINGS = {
    "digits": "02134",
    "the word null": "null",
    "the word true": "true",
    "a number": "3",
    "JSON": '{"x": [1, "2"]}',
    "an empty string": "",
    "spaces around": "  a  ",
    "newlines inside": "a\n\nb\n c",
    "a tab": "\ta\t",
    "CRLF inside": "a\r\nb",
    "quotes": "say \"hi\" to 'them'",
    "a backslash": "C:\\new\\table \\u00e9 \\",
    "unicode": "h\u00e9llo \u4e16\u754c \U0001f388",
    "a BOM": "\ufeffa",
    "a lone surrogate": "a\ud800b",
    "markup": "<b>x < y && y > z</b>",
    "an entity": "&amp; &lt; &#65;",
    "brackets": "}{][)(",
    "a code fence": "```python\nprint(1)\n```",
    "a shell brace": "mkdir {a,b",
    "control characters": "a\x00\x1bb",
    "a percent": "100%",
}


@every_format
@pytest.mark.parametrize("case", STRINGS)
def test_a_string_argument_is_lossless(name, case):
    parser = get_parser(name)
    expected: Any = STRINGS[case]
    if self_typed(parser):
        with contextlib.suppress(ValueError):
            expected = json.loads(expected)  # rule 13
    [one] = parsed(parser, parser.render([call({"s": STRINGS[case]})])).tool_calls
    fits = isinstance(expected, str)
    assert one.status is (CallStatus.OK if fits else CallStatus.SCHEMA_MISMATCH)
    assert json.loads(one.arguments) == {"s": expected}


@every_format
def test_markers_inside_a_string_are_text_when_prose_follows_them(name):
    parser = get_parser(name)
    nested = isinstance(parser.format.bodies[0], NestedCalls)
    for marker in markers(parser):
        if nested and marker.startswith(parser.format.bodies[0].openers[0][:8]):
            continue  # rule 17: every tag carries the mark
        text = f"a {marker} b"
        assert read_back(parser, {"s": text, "n": 1}, {"n": 2}) == [{"s": text, "n": 1}, {"n": 2}]


@pytest.mark.parametrize("name", [name for name in PARSERS if not tagged(get_parser(name))])
def test_a_whole_call_inside_a_quoted_string_is_text(name):
    parser = get_parser(name)
    inner = parser.render([call({"s": "x"})])
    try:
        assert read_back(parser, {"s": f"like {inner} this"}) == [{"s": f"like {inner} this"}]
    except RenderError:
        assert isinstance(parser.format.bodies[0], LiteralCalls)


VALUES = {
    "no arguments": {},
    "a negative number": {"n": -7},
    "a huge number": {"n": 10**60},
    "booleans": {"b": False},
    "null in a union": {"u": None},
    "a string in a union": {"u": "x"},
    "an empty array": {"a": []},
    "an array": {"a": [1, -2, 3]},
    "an object": {"o": {"s": "x y"}},
    "an empty object": {"o": {}},
    "everything": {"s": "x", "n": 1, "b": True, "a": [1], "o": {"s": "y"}, "u": "z"},
}


@every_format
@pytest.mark.parametrize("case", VALUES)
def test_a_value_keeps_its_type(name, case):
    assert read_back(get_parser(name), VALUES[case]) == [VALUES[case]]


@every_format
def test_many_calls_each_have_their_own_index(name):
    sources = [{"n": number} for number in range(30)]
    assert read_back(get_parser(name), *sources) == sources


@every_format
def test_a_damaged_call_leaves_its_neighbours_intact(name):
    parser = get_parser(name)
    text = parser.render([call({"s": f"v{n}", "n": n}, index=n) for n in range(3)])
    whole = parsed(parser, text)
    first, middle, last = (one.span for one in whole.tool_calls)
    for keep in range(2, middle.end - middle.start, 5):
        damaged = text[: middle.start + keep] + text[middle.end :]
        calls = [
            json.loads(one.arguments)
            for one in parsed(parser, damaged).tool_calls
            if one.status is CallStatus.OK
        ]
        assert {"s": "v0", "n": 0} in calls, damaged
    assert first.end <= middle.start < middle.end <= last.start


@every_format
def test_a_call_cut_off_by_the_token_limit_is_never_ok(name):
    parser = get_parser(name)
    text = parser.render([call({"s": "v0"}), call({"s": "v1", "n": 1}, index=1)])
    second = parsed(parser, text).tool_calls[1].span
    for stop in range(second.start + 1, second.end):
        message = parsed(parser, text[:stop], finish_reason="length")
        assert json.loads(message.tool_calls[0].arguments) == {"s": "v0"}
        assert message.tool_calls[0].status is CallStatus.OK
        assert all(one.status is not CallStatus.OK for one in message.tool_calls[1:]), text[:stop]


@every_format
def test_an_unknown_tool_is_kept_and_flagged(name):
    parser = get_parser(name)
    [one] = parsed(parser, parser.render([call({"s": "x"}, name="stranger")])).tool_calls
    assert (one.name, one.status) == ("stranger", CallStatus.UNKNOWN_TOOL)
    assert json.loads(one.arguments) == {"s": "x"}


@every_format
def test_a_value_that_does_not_fit_is_kept_and_flagged(name):
    parser = get_parser(name)
    [one] = parsed(parser, parser.render([call({"n": "three"})])).tool_calls
    assert one.status is CallStatus.SCHEMA_MISMATCH
    assert json.loads(one.arguments) == {"n": "three"}


@every_format
def test_text_around_calls_is_content(name):
    parser = get_parser(name)
    one = parser.render([call({"n": 1})]).removeprefix(parser.format.lead)
    message = parsed(parser, f"Before. {one}")
    assert message.content == "Before. "
    assert [json.loads(c.arguments) for c in message.tool_calls] == [{"n": 1}]


@every_format
def test_prose_that_names_a_marker_is_content(name):
    parser = get_parser(name)
    for body in parser.format.bodies:
        for opener in body.openers:
            if getattr(body, "special", False) or opener in parser.format.framing:
                continue
            if getattr(getattr(body, "call", None), "sure", False):
                continue  # a special token that no prose holds: a call that can't be read
            text = f"The {opener} marker, as in a sentence."
            assert parsed(parser, text).content in (text, text.replace(opener, "")), opener


@every_format
def test_thinking_that_never_closes_is_reasoning(name):
    parser = get_parser(name)
    for block in parser.format.thinking:
        message = parsed(parser, f"{block.open}so much to think")
        assert (message.reasoning, message.content) == ("so much to think", "")
        message = parsed(parser, f"well{block.close}Hi", prefix=block.open)
        assert (message.reasoning, message.content) == ("well", "Hi")
