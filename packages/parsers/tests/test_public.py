"""The public interface: names, registry, errors, and what importing costs."""

import subprocess
import sys

import pytest

import treadle_parsers
from treadle_parsers import (
    DuplicateParserError,
    Format,
    ParserError,
    StreamClosedError,
    UnknownParserError,
    get_parser,
    list_parsers,
    register_parser,
)
from treadle_parsers.bodies.json_call import JsonCall

PUBLIC = [
    "ArgumentsDelta",
    "CallEnd",
    "CallStart",
    "CallStatus",
    "ContentDelta",
    "Detection",
    "Dialect",
    "DuplicateParserError",
    "Event",
    "Format",
    "GrammarError",
    "ParsedMessage",
    "Parser",
    "ParserError",
    "ParserStream",
    "ReasoningDelta",
    "RenderError",
    "Segment",
    "SegmentKind",
    "Span",
    "StreamClosedError",
    "TemplateError",
    "Thinking",
    "ToolCall",
    "ToolSchema",
    "UnknownDialectError",
    "UnknownParserError",
    "detect",
    "get_parser",
    "list_parsers",
    "register_parser",
]


def test_the_public_names_are_pinned():
    assert sorted(treadle_parsers.__all__) == sorted(PUBLIC)
    assert all(hasattr(treadle_parsers, name) for name in PUBLIC)


def test_every_alias_gives_the_parser_of_its_format():
    assert get_parser("qwen3_json") is get_parser("hermes")
    assert {"hermes", "qwen", "qwen25"} <= set(list_parsers())


def test_an_unknown_name_names_its_neighbours():
    with pytest.raises(UnknownParserError, match="hermes") as caught:
        get_parser("hermse")
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, ParserError)


def test_an_unknown_name_without_neighbours_lists_what_there_is():
    with pytest.raises(UnknownParserError, match=r"known names: .*hermes"):
        get_parser("zzzzzzzzzz")


def test_a_format_of_ones_own_can_be_registered_once():
    form = Format(
        name="test-own-format",
        summary="<c>{...}</c>",
        models="none",
        bodies=(JsonCall(open="<c>", close="</c>"),),
    )
    parser = register_parser(form)
    assert get_parser("test-own-format") is parser
    message = parser.parse('<c>{"name": "f", "arguments": {"x": 1}}</c>')
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("f", '{"x": 1}')]
    clash = Format(name="hermes", summary="", models="", bodies=())
    with pytest.raises(DuplicateParserError, match="hermes"):
        register_parser(clash)


def test_feeding_a_closed_stream_is_an_error_and_closing_again_is_not():
    stream = get_parser("hermes").stream()
    stream.feed("hello")
    message = stream.close()
    assert stream.close() is message
    with pytest.raises(StreamClosedError, match="new stream"):
        stream.feed("more")


def test_importing_loads_no_third_party_module():
    code = (
        "import sys; before = set(sys.modules); import treadle_parsers;"
        "treadle_parsers.get_parser('hermes');"
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(roots - set(sys.stdlib_module_names) - {'treadle_parsers'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
