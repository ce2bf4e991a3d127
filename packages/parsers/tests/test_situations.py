"""Situations that break parsers, each for every format: one exact outcome, or the number of the
rule in `docs/typing.md` that says why the text is ambiguous.

A situation writes a text in the format and returns what it checked, or the rule. Every pair is
parsed whole, in pieces of one and of three characters, and checked for losslessness.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from treadle_parsers import CallStatus, ParsedMessage, Parser, Span, ToolCall, get_parser
from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.literal_calls import LiteralCalls
from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.bodies.nested_calls import NestedCalls
from treadle_parsers.bodies.pythonic_calls import PythonicCalls
from treadle_parsers.bodies.suffixed_calls import SuffixedCalls
from treadle_parsers.channels import Channels
from treadle_parsers.jsonfields import JsonKeys
from treadle_parsers.registry import all_formats
from treadle_parsers.taggedread import TagRules
from treadle_parsers.testing import check_text, cut_at, pieces

RULES = Path(__file__).resolve().parents[1] / "docs" / "typing.md"
PROPERTIES = {
    "s": {"type": "string"},
    "n": {"type": "integer"},
    "a": {"type": "array"},
    "o": {"type": "object"},
}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": PROPERTIES}},
    }
]
PLACE = 987654321
"""A number that a situation writes and then replaces by what it is about."""


class World:
    """One format, with ways of writing texts in it that its own renderer wouldn't write."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        body: Any = parser.format.bodies[0]
        self.body: Any = body.tool if isinstance(body, Channels) else body
        self.keys: JsonKeys | None = getattr(self.body, "keys", None)
        """The keys of a call object, where calls are such objects."""
        self.json: bool = self.keys is not None or isinstance(self.body, NamedJson)
        """Whether arguments are JSON text."""
        self.quoted: bool = self.json or isinstance(self.body, LiteralCalls | PythonicCalls)
        """Whether strings stand between quotes."""

    def render(self, *arguments: dict[str, Any], name: str = "f", compact: bool = True) -> str:
        calls = [call(a, index=i, name=name) for i, a in enumerate(arguments)]
        text = self.parser.render(calls).removeprefix(self.parser.format.lead)
        if not compact:
            return text
        return re.sub(r"\n +", "", text) if getattr(self.body, "on_lines", False) else text

    def with_value(self, raw: str) -> str:
        """Write a call whose argument `n` is `raw`."""
        return self.render({"n": PLACE}).replace(str(PLACE), raw)

    def with_arguments(self, raw: str) -> str:
        """Write a call whose arguments are the JSON text `raw`."""
        written = self.render({"n": PLACE})
        found = re.search(r"\{\s*\"n\": 987654321\s*\}", written)
        assert found
        return written.replace(found.group(), raw)

    def with_object(self, raw: str) -> str:
        """Write a call whose object is `raw`."""
        written = self.render({"n": PLACE})
        found = re.search(r"\{[^{}]*\{\s*\"n\": 987654321\s*\}\s*\}", written)
        assert found
        return written.replace(found.group(), raw)

    def read(self, text: str, **options: Any) -> ParsedMessage:
        cuts = [pieces(text, 1), pieces(text, 3)]
        return check_text(self.parser, text, cuts, tools=TOOLS, **options)

    def arguments(self, text: str) -> list[Any]:
        """Read `text`, in which every call is right; return what they hold."""
        message = self.read(text)
        assert [one.status for one in message.tool_calls] == [CallStatus.OK] * len(
            message.tool_calls
        )
        return [json.loads(one.arguments) for one in message.tool_calls]


def call(arguments: Any, *, name: str = "f", index: int = 0) -> ToolCall:
    return ToolCall(
        name=name,
        arguments=json.dumps(arguments, ensure_ascii=False),
        id="",
        index=index,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )


def literals(world: World) -> tuple[list[str], list[str]]:
    """Return the opening and the closing literals of calls."""
    bodies = world.parser.format.bodies
    opens = [literal for body in bodies for literal in body.openers if len(literal) > 1]
    return opens, [literal for body in bodies for literal in body.strays]


def keeps(world: World, marker: str) -> bool:
    """Say whether a string that holds `marker` in a sentence comes back, its neighbours too."""
    sources = [{"s": f"a {marker} b", "n": 1}, {"n": 2}]
    return world.arguments(world.render(*sources)) == sources


def end_tag_in_a_string(world: World) -> int | None:
    """A closing marker in a sentence is text: no structure follows it."""
    if isinstance(world.body, NestedCalls):
        return 17
    assert all(keeps(world, marker) for marker in literals(world)[1])
    return None


def start_marker_in_a_string(world: World) -> int | None:
    """So is an opening one."""
    if isinstance(world.body, NestedCalls):
        return 17
    assert all(keeps(world, marker) for marker in literals(world)[0])
    return None


def end_tag_before_structure(world: World) -> int | None:
    """A string that ends as its argument does, and goes on: only quotes tell."""
    whole = world.render({"s": "x"})
    tail = whole[whole.rindex("x") + 1 :].lstrip("\"'")
    if not world.quoted:
        return 17
    text = f"a {tail} b"
    if isinstance(world.body, LiteralCalls):
        text = text.replace(world.body.dialect.quotes[0].close, "")
    assert world.arguments(world.render({"s": text}, {"n": 1})) == [{"s": text}, {"n": 1}]
    return None


def a_call_in_a_string(world: World) -> int | None:
    """A whole call in a string is text where strings have quotes."""
    if not world.quoted:
        return 17
    inner = world.render({"n": 5})
    assert world.arguments(world.render({"s": inner}, {"n": 1})) == [{"s": inner}, {"n": 1}]
    return None


def one_malformed_of_three(world: World) -> int | None:
    """The second of three calls breaks off in the middle: the others are whole."""
    text = world.render({"n": 1}, {"s": "middle", "n": PLACE}, {"n": 3}, compact=False)
    spans = [one.span for one in world.read(text).tool_calls]
    stop = text.index(str(PLACE))
    message = world.read(text[:stop] + text[spans[1].end :])
    good = [json.loads(c.arguments) for c in message.tool_calls if c.status is CallStatus.OK]
    assert good[0] == {"n": 1}
    if isinstance(world.body, PythonicCalls):
        return 32
    if isinstance(world.body, TagRules) and not (world.body.special or opens_each(world.body)):
        return 17
    if isinstance(world.body, SuffixedCalls):
        return 17
    if isinstance(world.body, JsonArray) and not world.body.brackets:
        return 17  # the third object may be the value that the second breaks off before
    assert good[-1] == {"n": 3}
    return None


def opens_each(rules: TagRules) -> bool:
    """Say whether every call opens a block of its own."""
    return bool(rules.blocks) and not rules.layout.one_block


def truncated_second_call(world: World) -> int | None:
    """The token limit cuts the second call: the first is right, the second is truncated."""
    text = world.render({"n": 1}, {"s": "long", "n": 2})
    message = world.read(text[: text.rindex("ng")], finish_reason="length")
    assert [one.status for one in message.tool_calls] == [CallStatus.OK, CallStatus.TRUNCATED]
    assert json.loads(message.tool_calls[0].arguments) == {"n": 1}
    assert message.tool_calls[1].name == "f"
    return None


def unknown_name(world: World) -> int | None:
    """A tool that isn't in the list is returned and flagged."""
    [one] = world.read(world.render({"s": "x"}, name="stranger")).tool_calls
    assert (one.name, one.status) == ("stranger", CallStatus.UNKNOWN_TOOL)
    assert json.loads(one.arguments) == {"s": "x"}
    return None


def arguments_before_the_name(world: World) -> int | None:
    """Keys of a call object come in any order; other formats write the name first."""
    if world.keys is None or world.keys.keyed:
        assert world.arguments(world.render({"o": {}, "n": 1})) == [{"o": {}, "n": 1}]
        return None
    name, arguments = world.keys.name[0], world.keys.arguments[0]
    raw = f'{{"{arguments}": {{"n": 1}}, "{name}": "f"}}'
    if not getattr(world.body, "open", "") or getattr(world.body, "bare", False):
        return 22
    [one] = world.read(world.with_object(raw)).tool_calls
    assert (one.name, one.arguments, one.status) == ("f", '{"n": 1}', CallStatus.OK)
    return None


def missing_arguments(world: World) -> int | None:
    """A call object without arguments, and a call with none of its own, mean `{}`."""
    if world.keys is None or world.keys.keyed:
        assert world.arguments(world.render({})) == [{}]
        return None
    text = world.with_object(f'{{"{world.keys.name[0]}": "f"}}')
    assert world.arguments(text) == [{}]
    return None


def unicode_escapes(world: World) -> int | None:
    """Escapes in JSON stay as written; in tags a backslash is a backslash."""
    escaped = r"h\u00e9\ud83c\udf88"
    text = world.render({"s": str(PLACE)}).replace(str(PLACE), escaped)
    [one] = world.read(text).tool_calls
    read = "h\u00e9\U0001f388"
    if world.json:
        assert one.arguments == f'{{"s": "{escaped}"}}'
    quoted = world.json or isinstance(world.body, PythonicCalls)
    assert json.loads(one.arguments) == {"s": read if quoted else escaped}
    return None


def nested_quotes(world: World) -> int | None:
    """Quotes of any kind, and what looks like the end of a string, are text."""
    text = """say "it's \\"x\\"" and '''y''', then "}]} and '}) end"""
    assert world.arguments(world.render({"s": text, "n": 1})) == [{"s": text, "n": 1}]
    return None


def crlf_in_a_string(world: World) -> int | None:
    """Line ends inside a string are the string's own."""
    text = "a\r\nb\rc\nd"
    assert world.arguments(world.render({"s": text, "n": 1})) == [{"s": text, "n": 1}]
    return None


def crlf_between_markers(world: World) -> int | None:
    """A format's own line ends may be of the other kind."""
    text = world.render({"n": 1}, {"n": 2}).replace("\n", "\r\n")
    assert world.arguments(text) == [{"n": 1}, {"n": 2}]
    return None


def empty_arguments(world: World) -> int | None:
    """Calls without arguments stay apart from those with some."""
    assert world.arguments(world.render({}, {"n": 1}, {})) == [{}, {"n": 1}, {}]
    return None


def duplicated_keys(world: World) -> int | None:
    """A key that comes twice stays as written."""
    if world.json:
        [one] = world.read(world.with_arguments('{"n": 1, "n": 2}')).tool_calls
        assert (one.arguments, one.status) == ('{"n": 1, "n": 2}', CallStatus.OK)
        return None
    text = world.render({"n": 1, "z": 2}).replace("z", "n")
    [one] = world.read(text).tool_calls
    pairs = json.loads(one.arguments, object_pairs_hook=list)
    assert (pairs, one.status) == ([("n", 1), ("n", 2)], CallStatus.OK)
    return None


def deep_nesting(world: World) -> int | None:
    """Arrays forty levels deep come back."""
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    if isinstance(world.body, NestedCalls):
        deep = [[[["x"]]]]  # rule 15: an empty element of no declared type is a string
    assert world.arguments(world.render({"a": deep})) == [{"a": deep}]
    return None


def very_deep_nesting(world: World) -> int | None:
    """Arrays fifty thousand levels deep end in a record, and the next call is right."""
    deep = "[" * 50_000 + "]" * 50_000
    text = world.render({"a": str(PLACE)}, {"n": 1}).replace(f'"{PLACE}"', str(PLACE))
    message = world.parser.parse(text.replace(str(PLACE), deep), TOOLS)
    assert json.loads(message.tool_calls[-1].arguments) == {"n": 1}
    assert message.tool_calls[-1].status is CallStatus.OK
    return None


def huge_numbers(world: World) -> int | None:
    """Digits are kept, however many."""
    bare = isinstance(world.body, LiteralCalls | PythonicCalls)
    digits = "9" * (1000 if bare else 5000)  # rule 6
    [one] = world.read(world.with_value(digits)).tool_calls
    assert (one.arguments, one.status) == (f'{{"n": {digits}}}', CallStatus.OK)
    return None


def not_a_number(world: World) -> int | None:
    """NaN is no JSON: the text is kept and the call flagged; its neighbour is right."""
    text = world.render({"n": PLACE}, {"n": 2}).replace(str(PLACE), "NaN")
    first, second = world.read(text).tool_calls
    assert (json.loads(second.arguments), second.status) == ({"n": 2}, CallStatus.OK)
    if world.json:
        assert (first.arguments, first.status) == ('{"n": NaN}', CallStatus.INVALID_JSON)
    elif isinstance(world.body, PythonicCalls):
        assert first.status is CallStatus.INVALID_JSON
    else:
        assert json.loads(first.arguments) == {"n": "NaN"}
        assert first.status is CallStatus.SCHEMA_MISMATCH
    return None


def prose_between_calls(world: World) -> int | None:
    """Text between calls is content, whole."""
    text = f"{world.render({'n': 1})} and then {world.render({'n': 2})} done"
    message = world.read(text)
    assert [json.loads(one.arguments) for one in message.tool_calls] == [{"n": 1}, {"n": 2}]
    assert message.content in (" and then  done", " and then done")
    return None


def thinking_unclosed(world: World) -> int | None:
    """Thinking that never ends is reasoning; a format without it has only content."""
    form = world.parser.format
    opens = [block.open for block in form.thinking] or [form.reasoning_frame.open]
    for opener in opens:
        message = world.read(f"{opener}so much to think")
        told = (message.reasoning, message.content)
        assert told == (("so much to think", "") if opener else ("", "so much to think"))
    return None


def split_anywhere(world: World) -> int | None:
    """Two pieces, cut at every place, give the same message."""
    calls = [call({"s": "x y", "n": 1}), call({}, index=1)]
    text = world.parser.render(calls, content="Hello.", reasoning="")
    cuts = [cut_at(text, [at]) for at in range(1, len(text))]
    message = check_text(world.parser, text, cuts, tools=TOOLS)
    assert [json.loads(one.arguments) for one in message.tool_calls] == [{"s": "x y", "n": 1}, {}]
    return None


def byte_order_mark(world: World) -> int | None:
    """A mark before the call is content, one in a string is the string's."""
    message = world.read("\ufeff" + world.render({"s": "\ufeffx"}))
    assert message.content == "\ufeff"
    assert [json.loads(one.arguments) for one in message.tool_calls] == [{"s": "\ufeffx"}]
    return None


def lone_surrogates(world: World) -> int | None:
    """Half a character is kept, in content and in a string."""
    message = world.read("a\ud800b " + world.render({"s": "c\udc00d"}))
    assert message.content == "a\ud800b "
    assert [json.loads(one.arguments) for one in message.tool_calls] == [{"s": "c\udc00d"}]
    return None


def text_after_calls(world: World) -> int | None:
    """What the model says after its calls is content."""
    message = world.read(world.render({"n": 1}) + " That is all.")
    assert (message.content, len(message.tool_calls)) == (" That is all.", 1)
    return None


def control_tokens(world: World) -> int | None:
    """Tokens that begin and end texts are framing outside arguments and text inside them."""
    message = world.read(f"<bos>He<eos>llo {world.render({'s': 'a <eos> b'})}<eos>")
    assert message.content == "Hello "
    assert [json.loads(one.arguments) for one in message.tool_calls] == [{"s": "a <eos> b"}]
    return None


def lone_closers(world: World) -> int | None:
    """What closes a call is text within running text, where nothing is open."""
    form = world.parser.format
    closes = {block.close for block in form.thinking} | set(form.framing)
    for marker in set(literals(world)[1]) - closes:
        text = f"the {marker} tag"
        assert world.read(text).content == text, marker
    return None


SITUATIONS: tuple[Callable[[World], int | None], ...] = (
    end_tag_in_a_string,
    start_marker_in_a_string,
    end_tag_before_structure,
    a_call_in_a_string,
    one_malformed_of_three,
    truncated_second_call,
    unknown_name,
    arguments_before_the_name,
    missing_arguments,
    unicode_escapes,
    nested_quotes,
    crlf_in_a_string,
    crlf_between_markers,
    empty_arguments,
    duplicated_keys,
    deep_nesting,
    very_deep_nesting,
    huge_numbers,
    not_a_number,
    prose_between_calls,
    thinking_unclosed,
    split_anywhere,
    byte_order_mark,
    lone_surrogates,
    text_after_calls,
    control_tokens,
    lone_closers,
)
AMBIGUOUS = {
    "end_tag_in_a_string": {17},
    "start_marker_in_a_string": {17},
    "end_tag_before_structure": {17},
    "a_call_in_a_string": {17},
    "one_malformed_of_three": {17, 32},
    "arguments_before_the_name": {22},
}
"""The only situations that any format may call ambiguous, with the rules that say so."""


@pytest.mark.parametrize("name", [form.name for form in all_formats()])
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_a_situation_has_one_outcome_or_a_rule(situation, name):
    rule = situation(World(get_parser(name)))
    assert rule is None or rule in AMBIGUOUS[situation.__name__]


def test_the_rules_that_are_named_exist():
    rules = {int(n) for n in re.findall(r"^(\d+)\. \*\*", RULES.read_text("utf-8"), re.MULTILINE)}
    assert set().union(*AMBIGUOUS.values()) <= rules
