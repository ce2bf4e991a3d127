"""Work and look-ahead stay in proportion to the text, whatever the text: counted, not timed.

What is counted are the function calls of Python's and C's own functions; besides that, the
characters that regular expressions and searches may cross are bounded by what the cursor hands
them, which `held` shows.
"""

import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from treadle_parsers import CallStatus, Parser, Span, ToolCall, get_parser, jsontext, list_parsers
from treadle_parsers.bodies.literal_calls import LiteralCalls
from treadle_parsers.bodies.pythonic_calls import PythonicCalls
from treadle_parsers.draft import MAX_CALLS
from treadle_parsers.numbertext import BARE_LIMIT
from treadle_parsers.testing import pieces

PARSERS = sorted({get_parser(name).name for name in list_parsers()})
every_format = pytest.mark.parametrize("name", PARSERS)
COUNTER = "k777"
TOOLS = [
    {
        "function": {
            "name": "f",
            "parameters": {
                "properties": {
                    "s": {"type": "string"},
                    "a": {"type": "array", "items": {"type": "integer"}},
                }
            },
        }
    }
]
UNITS = (
    *('{"', '{ "', '{"name": "', '{"a":', "[", "[{", "[f(x=", "(", "<", "</", '"', "\\", '\\"'),
    *("`", "&", "'", '"""', " ", "\n", "1,", "{}", "f(x=1)", "<![CDATA[", "]]>", "<think>", "é"),
)


def rendered(parser: Parser, arguments: dict[str, Any]) -> str:
    call = ToolCall(
        name="f",
        arguments=json.dumps(arguments),
        id="functions.f:0" if parser.name == "kimi_k2" else "a1B2c3D4e",
        index=0,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )
    return parser.render([call])


def hostile(parser: Parser) -> list[tuple[str, str]]:
    """What comes first, and what is repeated after it."""
    form = parser.format
    blocks = [literal for block in form.thinking for literal in (block.open, block.close)]
    bodies = [literal for body in form.bodies for literal in (*body.openers, *body.strays)]
    markers = [literal for literal in {*blocks, *bodies, *form.framing} if literal]
    string, array = rendered(parser, {"s": "QQQ"}), rendered(parser, {"a": [777, 777]})
    in_string, in_array = string[: string.index("QQQ")], array[: array.index("777")]
    near = [marker[:-1] for marker in markers if len(marker) > 1]
    units = [*UNITS, *markers, *near, string, string[:-1], array, in_string, in_array]
    units += [rendered(parser, {COUNTER: "x"}), string.replace("6124c78e", COUNTER)]
    return [
        *(("", unit) for unit in units),
        *((in_string, unit) for unit in units),
        *((in_array, unit) for unit in units),
    ]


def repeated(before: str, unit: str, size: int) -> str:
    """About `size` characters, every repeat with a number of its own where it has a counter."""
    count = max(size // len(unit), 1)
    return before + "".join(unit.replace(COUNTER, str(1000 + at)) for at in range(count))


def operations(work: Callable[[], object]) -> int:
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


@every_format
def test_no_text_costs_more_than_in_proportion_to_its_length(name):
    parser = get_parser(name)
    for before, unit in hostile(parser):
        texts = [repeated(before, unit, size) for size in (3_000, 9_000)]
        small, large = [operations(lambda text=text: parser.parse(text, TOOLS)) for text in texts]
        assert large < small * 3.6 + 3_000, (before, unit)
        assert large < 9_000 * 60, (before, unit)


@every_format
def test_the_look_ahead_is_bounded_for_every_text(name):
    parser = get_parser(name)
    bare = any(isinstance(body, LiteralCalls | PythonicCalls) for body in parser.format.bodies)
    bound = BARE_LIMIT if bare else 1_200  # a value without quotes waits for its end
    for before, unit in hostile(parser):
        stream = parser.stream(TOOLS)
        for piece in pieces(repeated(before, unit, 3_000), 50):
            stream.feed(piece)
            assert stream.held < bound, (before, unit)
        stream.close()


@pytest.mark.parametrize(
    ("name", "before", "unit", "after"),
    [
        ("mistral", "[TOOL_CALLS][", '{"name":"f"},', "]"),
        ("pythonic", "[", "f(),", "f()]"),
        ("hermes", "", '<tool_call>{"name":"f"}</tool_call>', ""),
    ],
)
def test_a_message_has_a_most_number_of_calls_and_the_rest_is_text(name, before, unit, after):
    text = before + unit * (MAX_CALLS + 2) + after
    message = get_parser(name).parse(text)
    assert len(message.tool_calls) == MAX_CALLS
    assert message.content
    assert message.segments[-1].span.end == len(text)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("[" * 200_000 + "]" * 200_000, True),
        ("[" * 200_000 + "]" * 199_999, False),
        ('{"a": ' * 100_000 + '"\\u00e9"' + "}" * 100_000, True),
        ('{"a": [' * 100_000 + "1" + "]}" * 99_999 + "}]", False),
        ("[" * 5_000 + '"\n"' + "]" * 5_000, False),
    ],
)
def test_a_value_of_any_depth_is_judged(text, valid):
    if valid:
        assert isinstance(jsontext.load(text), jsontext.TooDeep)
    else:
        with pytest.raises(ValueError, match="JSON"):
            jsontext.load(text)
