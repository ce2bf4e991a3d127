"""What holds for every format and every text: any cut gives the same record, nothing raises,
nothing is lost, and what was said stays said.
"""

import json
import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parser_fuzz.cases import REASONS, Case
from parser_fuzz.checks import check
from parser_fuzz.mutations import changed, mutated, rendered

from treadle_parsers import (
    ArgumentsDelta,
    CallStatus,
    Parser,
    Span,
    ToolCall,
    get_parser,
    list_parsers,
)
from treadle_parsers.testing import check_text, cut_at, pieces, told

PARSERS = sorted({get_parser(name).name for name in list_parsers()})
every_format = pytest.mark.parametrize("name", PARSERS)
WAYS = [(name, None) for name in PARSERS] + [
    (name, dialect.name) for name in PARSERS for dialect in get_parser(name).format.dialects
]
"""Every format in every dialect."""

SCRAPS = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    ":",
    ",",
    "\n",
    " ",
    "name",
    "arguments",
    "x",
    "1",
    "\r\n",
    "é",
    "\ud800",
]
OBJECTS = ['{"name": "f", "arguments": {"x": 1}}', '"name": "f"', '{"x": "a\\"b"}', "null"]
CUTS = st.lists(st.integers(min_value=0, max_value=10_000), max_size=8)
NAMES = st.from_regex(r"[a-z][a-zA-Z0-9_]{0,10}", fullmatch=True)


def plain_text(size: int) -> st.SearchStrategy[str]:
    """Text without the characters that markers are made of, and not only white space."""
    safe = st.characters(blacklist_characters="<>[]{}|｜&\\\"'`", blacklist_categories=["Cs", "Cc"])
    return st.text(safe, max_size=size).map("text ".__add__)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text(8),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(NAMES, inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(NAMES, JSON, max_size=3)


def markers(parser: Parser) -> list[str]:
    form = parser.format
    blocks = [literal for block in form.thinking for literal in (block.open, block.close)]
    bodies = [literal for body in form.bodies for literal in (*body.openers, *body.strays)]
    return [literal for literal in (*blocks, *bodies, *form.framing) if literal]


def call(name: str, arguments: Any) -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    span = Span(start=0, end=0)
    return ToolCall(
        name=name, arguments=text, id="", index=0, status=CallStatus.OK, span=span, raw=""
    )


def thinks(parser: Parser) -> bool:
    return bool(parser.format.thinking or parser.format.reasoning_frame.open)


def name_of(one: ToolCall) -> str:
    return one.name


def schema_of(value: Any) -> dict[str, Any]:
    """The schema that the shape of `value` asks for."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {k: schema_of(v) for k, v in value.items()}}
    if isinstance(value, list):
        kinds = [schema_of(one) for one in value]
        return {"type": "array", "items": {"anyOf": kinds}} if kinds else {"type": "array"}
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, kind):
            return {"type": name}
    return {"type": "null"}


def tools_for(calls: list[ToolCall]) -> list[dict[str, Any]]:
    """Tools that fit `calls`; of calls with one name the last counts."""
    return [
        {"function": {"name": one.name, "parameters": schema_of(json.loads(one.arguments))}}
        for one in calls
    ]


@every_format
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_text_in_any_cut_gives_one_record(name, data):
    parser = get_parser(name)
    scrap = st.sampled_from([*markers(parser), *OBJECTS, *SCRAPS]) | st.text(max_size=4)
    text = "".join(data.draw(st.lists(scrap, max_size=14)))
    cuts = [pieces(text, 1), cut_at(text, data.draw(CUTS))]
    reason = data.draw(st.sampled_from([None, "stop", "length"]))
    prefix = data.draw(st.sampled_from(["", *[block.open for block in parser.format.thinking]]))
    check_text(parser, text, cuts, prefix=prefix, finish_reason=reason)


@every_format
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_output_gives_one_record_in_any_cut(name, data):
    parser = get_parser(name)
    source = data.draw(st.lists(st.builds(call, NAMES, ARGUMENTS), min_size=1, max_size=3))
    text = parser.render(source, content="Hi there.", reasoning="hm")
    for place in data.draw(CUTS):
        at = place % (len(text) + 1)
        text = (
            text[:at]
            + data.draw(st.sampled_from(["", *SCRAPS, *markers(parser)]))
            + text[at + place % 3 :]
        )
    check_text(parser, text, [pieces(text, 1), cut_at(text, data.draw(CUTS))])


@every_format
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_mutated_output_keeps_every_promise(name, seed):
    draw = random.Random(seed)
    case = Case(format=name, text=rendered(name, draw), tools=draw.choice(["none", "wide"]))
    for _ in range(draw.randrange(1, 6)):
        case = mutated(case, draw, str.swapcase)
    check(case)


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_mutated_recordings_keep_every_promise(recorded_cases, seed):
    draw = random.Random(seed)
    recorded = draw.choice(recorded_cases)
    known = [one for one in (recorded.get("parser"), recorded["family"]) if one in list_parsers()]
    name = get_parser(known[0]).name if known else draw.choice(PARSERS)
    text = changed(recorded["text"], draw, Case(format=name, text=""))
    cuts = [pieces(text, 1), pieces(text, draw.randrange(2, 9))]
    reason, prefix = draw.choice(REASONS), recorded.get("prefix") or ""
    options = {"tools": recorded["tools"], "prefix": prefix, "finish_reason": reason}
    check_text(get_parser(name), text, cuts, **options)


@every_format
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 9))
def test_what_was_streamed_is_a_prefix_of_the_record_at_every_moment(name, seed, size):
    draw = random.Random(seed)
    text = changed(rendered(name, draw), draw, Case(format=name, text=""))
    parser = get_parser(name)
    message = parser.parse(text)
    stream = parser.stream()
    events = []
    for piece in pieces(text, size):
        events += stream.feed(piece)
        said = told(events)
        assert message.content.startswith(said.content)
        assert message.reasoning.startswith(said.reasoning)
        for index, one in said.calls.items():
            final = message.tool_calls[index]
            assert (one.name, one.id) == (final.name, final.id)
            assert final.arguments.startswith(one.arguments)
            assert one.status in (None, final.status)


@every_format
def test_a_string_argument_flows_while_it_is_written(name):
    parser = get_parser(name)
    text = parser.render([call("f", {"code": "print('hello', 1)\n" * 50})])
    stream = parser.stream(tools_for([call("f", {"code": ""})]))
    arrived = 0
    for place, piece in enumerate(pieces(text, 4)):
        events = stream.feed(piece)
        arrived += sum(len(one.text) for one in events if isinstance(one, ArgumentsDelta))
        assert arrived >= place * 4 - len(text) // 4
    assert not stream.close().tool_calls[1:]


@pytest.mark.parametrize(("name", "dialect"), WAYS)
@settings(max_examples=25, deadline=None)
@given(
    source=st.lists(st.builds(call, NAMES, ARGUMENTS), min_size=1, max_size=3, unique_by=name_of)
)
def test_what_is_rendered_is_read_back(name, dialect, source):
    parser = get_parser(name)
    text = parser.render(source, content="Hi there.", reasoning="hm", dialect=dialect)
    message = check_text(parser, text, [pieces(text, 3)], tools=tools_for(source))
    assert [(c.name, json.loads(c.arguments), c.status) for c in message.tool_calls] == [
        (c.name, json.loads(c.arguments), CallStatus.OK) for c in source
    ]
    assert message.reasoning == ("hm" if thinks(parser) else "")
    assert message.content.strip() == "Hi there."


def operations(work: Callable[[], object]) -> int:
    """Count the function calls that `work` makes, Python's own and built-in ones."""
    count = 0

    def note(_frame: FrameType, _event: str, _argument: Any) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


LONG = {
    "code": lambda size: {"code": 'if x < 3:\n    print("a", y)\n' * (size // 29)},
    "numbers": lambda size: {"values": list(range(size // 6))},
}


@every_format
@pytest.mark.parametrize("shape", LONG)
def test_work_grows_linearly_and_the_buffer_stays_small(name, shape):
    parser = get_parser(name)
    counts: list[int] = []
    for size in (3_000, 12_000):
        text = parser.render([call("f", LONG[shape](size))])
        stream = parser.stream()
        held = 0

        def feed_all(text: str = text, stream: Any = stream) -> None:
            nonlocal held
            for piece in pieces(text, 4):
                stream.feed(piece)
                held = max(held, stream.held)
            stream.close()

        counts.append(operations(feed_all))
        assert held < 1_000
    assert counts[1] < counts[0] * 4.6


@every_format
def test_a_hostile_text_costs_no_more_than_its_length(name):
    parser = get_parser(name)
    for marker in [*markers(parser), "{", "[", '"', "\\", " ", "<"]:
        counts = [
            operations(lambda text=marker * repeats: parser.parse(text)) for repeats in (150, 600)
        ]
        assert counts[1] < counts[0] * 4.6 + 200, marker
