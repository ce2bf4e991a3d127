"""Rules of `docs/typing.md` about what is a call, content and reasoning, each on a small text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_parsers import CallStatus, ParsedMessage, get_parser
from treadle_parsers.testing import check_text, pieces


def read(name: str, text: str, **options: Any) -> ParsedMessage:
    cuts = [pieces(text, size) for size in (1, 2, 3, 7)]
    return check_text(get_parser(name), text, cuts, **options)


def calls(message: ParsedMessage) -> list[tuple[str, Any, CallStatus]]:
    return [(one.name, json.loads(one.arguments), one.status) for one in message.tool_calls]


HERMES = '<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>'


BARE = {
    "functiongemma": "<start_function_call>call:f{{x:{value}}}<end_function_call>",
    "gemma4": "<|tool_call>call:f{{x:{value}}}<tool_call|>",
    "pythonic": "[f(x={value})]",
}
every_notation = pytest.mark.parametrize("name", BARE)
LENGTHS = st.sampled_from(
    [0, 1, 31, 33, 64, 65, 256, 500, 992, 993, 1_023, 1_024, 1_025, 1_056, 1_057]
)
ITEMS = st.tuples(
    st.builds(str.__mul__, st.sampled_from(" \n"), LENGTHS),
    st.builds(str.__mul__, st.sampled_from("7e<"), LENGTHS)
    | st.sampled_from(["5 foo", "-1.5", "1."]),
    st.builds(str.__mul__, st.sampled_from(" \n"), LENGTHS),
).map("".join)


@every_notation
@pytest.mark.parametrize("form", ["{}", "[{}, 2]", "[2, {}]"])
def test_rule_6_a_value_without_quotes_has_at_most_1024_characters(name, form):
    texts = [BARE[name].format(value=form.format("7" * length)) for length in (1_024, 1_025)]
    [[longest], [longer]] = [read(name, text).tool_calls for text in texts]
    assert longest.status == CallStatus.OK
    assert "7" * 1_024 in longest.arguments
    assert longer.status == CallStatus.INVALID_JSON


@every_notation
@given(items=st.lists(ITEMS, min_size=1, max_size=6), size=st.integers(1, 700))
def test_rule_6_the_limit_is_the_same_in_every_chunking(name, items, size):
    for value in (items[0], f"[{','.join(items)}, 1, 2, 3]"):
        text = BARE[name].format(value=value)
        assert check_text(get_parser(name), text, [pieces(text, size)]).text == text


def test_rule_11_an_object_that_names_no_tool_is_kept_as_the_arguments():
    message = read("hermes", '<tool_call>{"city": "Rome", "days": [1, 2]}</tool_call>' + HERMES)
    assert calls(message) == [
        ("", {"city": "Rome", "days": [1, 2]}, CallStatus.MISSING_NAME),
        ("f", {"x": 1}, CallStatus.OK),
    ]


def test_rule_18_a_value_without_a_name_makes_the_call_invalid():
    message = read("minicpm5", '<function name="f"><param>a</param></function>')
    assert [one.status for one in message.tool_calls] == [CallStatus.INVALID_JSON]


def test_rule_18_a_name_without_a_value_is_no_argument():
    message = read("glm45", "<tool_call>f\n<arg_key>x</arg_key></tool_call>")
    assert calls(message) == [("f", {}, CallStatus.OK)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", "<tool_call>not JSON</tool_call>"),
        ("k2_horizon", "<ifm|tool_calls>nothing</ifm|tool_calls>"),
        ("qwen3_coder", "Write <tool_call> and </tool_call>, </function> too."),
    ],
)
def test_rule_21_what_closes_nothing_is_text_in_running_text(name, text):
    assert read(name, text).content == text


def test_rule_21_what_closes_a_call_again_is_framing():
    message = read("hermes", HERMES + "\n</tool_call>\n")
    assert (message.content, len(message.tool_calls)) == ("", 1)


def test_rule_21_special_block_markers_are_framing_even_without_a_call():
    message = read("deepseek_v4", "a <｜DSML｜tool_calls> b")
    assert message.content == "a  b"


def test_rule_25_the_name_of_a_head_that_is_cut_off_is_told_as_far_as_it_goes():
    text = "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_wea"
    [one] = read("kimi_k2", text).tool_calls
    assert (one.name, one.status) == ("get_wea", CallStatus.TRUNCATED)


@pytest.mark.parametrize("name", ["hermes", "qwen3_coder", "openai", "gemma4", "llama3_json"])
def test_rule_29_control_tokens_are_framing_even_inside_a_word(name):
    message = read(name, "<bos>He<eos>llo <eos>\n<eos>world<|endoftext|>")
    assert message.content == "Hello \nworld"


def test_rule_29_white_space_around_control_tokens_in_thinking_is_kept():
    message = read("hermes", "<think>\none <eos>two<eos> three \n<eos></think>\n\nHi")
    assert (message.reasoning, message.content) == ("one two three", "Hi")


def test_rule_30_thinking_may_end_within_its_closing_marker():
    assert read("hermes", "<think>so</thi").reasoning == "so"
    assert read("hermes", "<think>a <").reasoning == "a <"
    assert read("hermes", "so</thi").content == "so</thi"
    message = read("plamo3", "so<|plamo:end_", prefix="<|plamo:begin_think:plamo|>")
    assert message.reasoning == "so"


def test_rule_31_a_prefix_may_be_a_message_so_far():
    message = read("mistral", "world", prefix="[THINK]hm[/THINK]Hello, ")
    assert (message.reasoning, message.content) == ("hm", "Hello, world")


def test_rule_31_messages_to_oneself_after_the_last_prompt_belong_to_the_answer():
    prefix = (
        "<|start|>assistant<|channel|>final<|message|>Old.<|end|><|start|>user<|message|>Go<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>hm<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Hello, "
    )
    message = read("openai", "world", prefix=prefix)
    assert (message.reasoning, message.content) == ("hm", "Hello, world")


def test_rule_32_objects_of_an_array_are_found_after_one_that_breaks_off():
    text = (
        '<tool_calls>[{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {"x": , '
        '{"name": "h", "arguments": {"y": [{"z": 2}]}}]</tool_calls>'
    )
    message = read("jamba", text)
    assert [(one.name, one.status) for one in message.tool_calls] == [
        ("f", CallStatus.OK),
        ("g", CallStatus.INVALID_JSON),
        ("h", CallStatus.OK),
    ]


VARIANTS = {
    "a name before the marker, the header in the prompt": (
        "inkling",
        'f<|content_invoke_tool_json|>{"name": "f", "args": {"x": 1}}<|end_message|>',
    ),
    "two calls in one block of Gemma": ("gemma4", "<|tool_call>call:f{x:1}call:f{x:1}<tool_call|>"),
    "a Gemma call without its first word": ("gemma4", "<|tool_call>:f{x:1}<tool_call|>"),
    "GLM with an object": ("glm47", HERMES),
    "Laguna with an object": ("poolside_v1", HERMES),
    "GigaChat 3.5 as 3.1": (
        "gigachat35",
        '<|function_call|>{"name": "f", "arguments": {"x": 1}}',
    ),
    "Command R+ on lines of Windows": (
        "command-r-plus",
        'Action:\r\n```json\r\n[{"tool_name": "f", "parameters": {"x": 1}}]\r\n```',
    ),
}


@pytest.mark.parametrize("case", VARIANTS)
def test_a_variant_of_a_format_is_read(case):
    name, text = VARIANTS[case]
    message = read(name, text)
    assert message.content == ""
    assert {(one.name, one.arguments) for one in message.tool_calls} == {("f", '{"x": 1}')}
    assert {one.status for one in message.tool_calls} == {CallStatus.OK}


def test_mistral_keeps_a_call_without_a_name_and_the_one_after_it():
    text = '[TOOL_CALLS][ARGS]{"command": "ls"}[TOOL_CALLS]submit[ARGS]{"x": 1}'
    assert calls(read("mistral", text)) == [
        ("", {"command": "ls"}, CallStatus.MISSING_NAME),
        ("submit", {"x": 1}, CallStatus.OK),
    ]


def test_an_open_argument_of_special_tokens_ends_where_a_call_begins():
    head = '<｜DSML｜invoke name="f">'
    parameter = '<｜DSML｜parameter name="x" string="true">'
    end = "</｜DSML｜parameter></｜DSML｜invoke>"
    message = read("deepseek_v4", f"{head}{parameter}a{head}{parameter}b{end}")
    assert [json.loads(one.arguments) for one in message.tool_calls] == [{"x": "a"}, {"x": "b"}]
