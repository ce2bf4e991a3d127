"""What the shims share: reasoning and answer taken apart, the same in every chunking."""

import gzip
import json
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_parsers import (
    CallStatus,
    Parser,
    RenderError,
    Span,
    ToolCall,
    get_parser,
    list_parsers,
)
from treadle_parsers.events import CallStart
from treadle_parsers.openai import merged
from treadle_parsers.registry import all_formats
from treadle_parsers.shims.answers import (
    AnswerStream,
    ReasoningStream,
    fresh_id,
    tool_schemas,
    whole_answer,
)
from treadle_parsers.shims.constraints import constraint
from treadle_parsers.shims.prompts import opened_by, opens_thinking, thinking_is_over
from treadle_parsers.testing import cut_at, pieces

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "search",
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
        },
    },
]
NAMES = [form.name for form in all_formats()]


def call(index: int, name: str, arguments: str) -> ToolCall:
    return ToolCall(
        name=name,
        arguments=arguments,
        id="",
        index=index,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )


CALLS = [
    call(0, "get_weather", '{"city": "Köln </x>", "days": 3}'),
    call(1, "search", '{"q": "a [c]"}'),
]


def written(parser: Parser) -> list[str]:
    """Messages as the model writes them; a format without content beside calls has fewer."""
    texts: list[str] = []
    for calls in (CALLS, CALLS[:1], []):
        for content in ("", "Let me see."):
            for reasoning in ("", "I need the weather."):
                try:
                    texts.append(parser.render(calls, content=content, reasoning=reasoning))
                except RenderError:
                    continue
    return texts


def taken_apart(parser: Parser, deltas: list[str], tools: object = TOOLS) -> dict[str, object]:
    reasoning = ReasoningStream(parser)
    answer = AnswerStream(parser, tools)
    parts = [*map(reasoning.feed, deltas), reasoning.close()]
    told = merged([*(answer.feed(part.rest) for part in parts if part.rest), answer.close()])
    calls = [one["function"] for one in told.get("tool_calls", [])]
    return {
        "reasoning": "".join(part.reasoning for part in parts),
        "content": told.get("content", ""),
        "calls": [(one["name"], one["arguments"]) for one in calls],
    }


@pytest.mark.parametrize("name", NAMES)
def test_reasoning_and_answer_are_those_of_the_record(name):
    parser = get_parser(name)
    for text in written(parser):
        record = parser.parse(text, TOOLS)
        expected = {
            "reasoning": record.reasoning,
            "content": record.content,
            "calls": [(one.name, one.arguments) for one in record.tool_calls],
        }
        for size in (1, 3, len(text) or 1):
            assert taken_apart(parser, pieces(text, size)) == expected, (text, size)


MARKERS = sorted(
    {
        marker
        for name in ("hermes", "mistral", "deepseek_v3", "qwen3_coder")
        for form in (get_parser(name).format,)
        for marker in (
            *(opener for body in form.bodies for opener in body.openers),
            *(mark for block in form.thinking for mark in (block.open, block.close)),
        )
    }
)


@given(
    name=st.sampled_from(["hermes", "mistral", "deepseek_v3", "qwen3_coder"]),
    parts=st.lists(st.sampled_from([*MARKERS, '{"name": "f", "arguments": {"x": 1}}', "a", "\n"])),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_any_text_is_taken_apart_the_same_in_every_chunking(name, parts, cuts):
    parser, text = get_parser(name), "".join(parts)
    assert taken_apart(parser, cut_at(text, cuts)) == taken_apart(parser, [text])


def test_thinking_that_reaches_the_answer_is_passed_on_as_text():
    text = '<think>\nhm\n</think>\n\nHi <tool_call>{"name": "search"}</tool_call>'
    answer = whole_answer(get_parser("hermes"), text, TOOLS)
    assert answer["content"] == "<think>\nhm\n</think>\n\nHi "
    assert answer["tool_calls"][0]["function"] == {"name": "search", "arguments": "{}"}


@pytest.mark.parametrize("size", [1, 4, 100])
def test_what_looks_like_a_call_in_thinking_that_holds_none_stays_text(size):
    parser = get_parser("mistral")
    text = '[THINK]say [TOOL_CALLS]search[ARGS]{"q": 1}[/THINK]ok[TOOL_CALLS]search[ARGS]{}'
    answer = AnswerStream(parser)
    told = merged([*map(answer.feed, pieces(text, size)), answer.close()])
    assert told["content"] == '[THINK]say [TOOL_CALLS]search[ARGS]{"q": 1}[/THINK]ok'
    assert [one["function"]["arguments"] for one in told["tool_calls"]] == ["{}"]


@pytest.mark.parametrize("size", [1, 2, 50])
def test_reasoning_goes_on_from_a_block_that_the_prompt_opened(size):
    text = "a sum\n</think>\n\n42"
    stream = ReasoningStream(get_parser("hermes"), "<|im_start|>assistant\n<think>\n")
    parts = [*map(stream.feed, pieces(text, size)), stream.close()]
    assert "".join(part.reasoning for part in parts) == "a sum"
    assert "".join(part.rest or "" for part in parts) == "42"
    assert stream.close().rest is None


def test_ids_differ_between_messages_unless_the_model_wrote_them():
    hermes, mistral = get_parser("hermes").format, get_parser("mistral").format
    start = CallStart(0, "call_0", "f")
    assert fresh_id(hermes, start) != fresh_id(hermes, start)
    assert fresh_id(hermes, CallStart(0, "own", "f")) == "own"
    short = CallStart(0, mistral.call_id(0, "f"), "f")
    assert re.fullmatch(r"[A-Za-z0-9]{9}", fresh_id(mistral, short))
    assert fresh_id(mistral, short) != fresh_id(mistral, short)
    kimi = get_parser("kimi_k2").format
    assert fresh_id(kimi, CallStart(0, "functions.f:0", "f")) == "functions.f:0"


def test_every_real_case_has_the_calls_of_the_record():
    root = Path(__file__).resolve().parents[3]
    given = os.environ.get("TREADLE_SHARED")
    places = [Path(given)] if given else [root.parent / "shared", root.parent.parent / "shared"]
    files = [place / "parsers" / "cases.jsonl.gz" for place in places]
    file = next((one for one in files if one.is_file()), None)
    if file is None:
        pytest.skip("no shared folder with parsers/cases.jsonl.gz beside the repository")
    known, count = set(list_parsers()), 0
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    for case in cases:
        if case["family"] not in known or case.get("prefix"):
            continue
        parser, text = get_parser(case["family"]), case["text"]
        record = parser.parse(text, case["tools"])
        expected = [(one.name, one.arguments) for one in record.tool_calls if one.name]
        assert taken_apart(parser, pieces(text, 3), case["tools"])["calls"] == expected, text
        count += 1
    assert count > 1000


def test_a_long_answer_takes_time_in_proportion():
    def seconds(size: int) -> float:
        text = '<tool_call>{"name": "f", "arguments": {"x": "' + "y = 1\\n" * (size // 7) + '"}}'
        answer = AnswerStream(get_parser("hermes"))
        start = time.process_time()
        for piece in pieces(text, 4):
            answer.feed(piece)
        answer.close()
        return time.process_time() - start

    small = min(seconds(50_000) for _ in range(3))
    assert min(seconds(400_000) for _ in range(2)) < 8 * small * 1.8


class Model:
    """A tool as an engine's model class."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields

    def model_dump(self, **_options: object) -> dict[str, object]:
        return self.fields


def test_an_engines_tools_become_schemas():
    function = {"name": "f", "parameters": {}}
    expected = [{"type": "function", "function": function}]
    assert tool_schemas([Model(type="function", function=function)]) == expected
    assert tool_schemas([{"name": "f", "parameters": {}}]) == expected
    assert tool_schemas(None) == []


def test_a_constraint_is_for_the_named_tool_and_ends_after_one_call():
    parser = get_parser("hermes")
    tag = constraint(parser, TOOLS, only="search", parallel=False)
    assert tag is not None
    assert [one["begin"] for one in tag["format"]["tags"]] == [
        '<tool_call>\n{"name": "search", "arguments": '
    ]
    assert tag["format"]["stop_after_first"] is True
    assert constraint(parser, TOOLS, only="other") is None


CHAT = "<|im_start|>assistant\n<think>\nold\n</think>\n\nHi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("prompt", "over"),
    [
        (CHAT, False),
        (CHAT + "<think>\n", False),
        (CHAT + "<think>\n\n</think>\n\n", True),
        (CHAT + "<think>\n\n</think>\n\nHello", True),
        ("unknown header <think></think>\n", True),
        ("unknown header <think></think> and more", False),
    ],
)
def test_a_prompt_says_whether_thinking_is_over(prompt, over):
    assert thinking_is_over(get_parser("hermes"), prompt) is over


def test_a_text_that_closes_what_it_did_not_open_was_opened_by_the_prompt():
    parser = get_parser("hermes")
    assert opened_by(parser, "hm</think>4") == "<think>"
    assert opened_by(parser, "<think>hm</think>4") == ""
    assert opened_by(parser, "4") == ""


class Templated:
    """A tokenizer whose template ends with `end`."""

    chat_template = "given"

    def __init__(self, end: str | None) -> None:
        self.end = end

    def apply_chat_template(self, messages: object, *, thinking: bool = True, **_: object) -> str:
        if self.end is None:
            raise ValueError("no system message")
        return "<|im_start|>assistant\n" + (self.end if thinking else "")


def test_a_template_says_whether_its_prompt_opens_the_block():
    parser = get_parser("hermes")
    assert opens_thinking(parser, Templated("<think>\n"), {})
    assert not opens_thinking(parser, Templated("<think>\n"), {"thinking": False})
    assert not opens_thinking(parser, Templated("<think>\n\n</think>\n\n"), {})
    assert not opens_thinking(parser, Templated(None), {})
    assert not opens_thinking(parser, object(), {})
