"""Hermes, case by case: each text whole and in pieces of 1, 2, 3 and 7 characters."""

import json

import pytest

from treadle_parsers import CallStatus, ParsedMessage, RenderError, Span, ToolCall, get_parser
from treadle_parsers.testing import check_text, pieces

PARSER = get_parser("hermes")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
        },
    }
]


def parsed(text: str, **options) -> ParsedMessage:
    cuts = [pieces(text, size) for size in (1, 2, 3, 7)]
    return check_text(PARSER, text, cuts, **options)


def calls(message: ParsedMessage) -> list[tuple[str, str, str]]:
    return [(call.name, call.arguments, call.status.value) for call in message.tool_calls]


def block(body: str) -> str:
    return f"<tool_call>\n{body}\n</tool_call>"


GOOD = block('{"name": "f", "arguments": {"x": 1}}')


def test_one_call_with_its_markers_as_span():
    message = parsed("Let me see. " + GOOD)
    assert message.content == "Let me see. "
    assert calls(message) == [("f", '{"x": 1}', "ok")]
    assert message.tool_calls[0].raw == GOOD
    assert message.tool_calls[0].span == Span(start=12, end=12 + len(GOOD))


def test_calls_in_a_row_leave_no_content_between_them():
    message = parsed(GOOD + "\n" + GOOD + "\n\n" + GOOD + "\n")
    assert len(message.tool_calls) == 3
    assert [call.index for call in message.tool_calls] == [0, 1, 2]
    assert len({call.id for call in message.tool_calls}) == 3
    assert message.content == ""


def test_text_between_and_after_calls_is_content():
    message = parsed(GOOD + " and then " + GOOD + "\nDone.")
    assert message.content == " and then \nDone."
    assert len(message.tool_calls) == 2


@pytest.mark.parametrize(
    "text",
    ["Use the <tool_call> tag.", "<tool_call>.", "a <tool_call> [1]", "<tool_call", "x </to"],
)
def test_a_marker_without_an_object_is_prose(text):
    message = parsed(text)
    assert message.content == text
    assert message.tool_calls == ()


@pytest.mark.parametrize("text", ["<tool_call>", "Hi <tool_call>\n"])
def test_a_marker_at_the_very_end_is_a_truncated_call(text):
    message = parsed(text)
    assert calls(message) == [("", "", "truncated")]
    assert message.content == text[: text.index("<")]


def test_thinking_is_split_off_and_its_edges_are_trimmed():
    message = parsed("<think>\nhm\n\nyes\n</think>\n\nAnswer\n")
    assert message.reasoning == "hm\n\nyes"
    assert message.content == "Answer\n"


@pytest.mark.parametrize("prefix", ["<|im_start|>assistant\n<think>\n", "<think>\n"])
def test_thinking_that_the_prompt_opened(prefix):
    message = parsed("hm\n</think>\n\n" + GOOD, prefix=prefix)
    assert message.reasoning == "hm"
    assert message.content == ""
    assert calls(message) == [("f", '{"x": 1}', "ok")]


def test_thinking_that_the_prompt_closed():
    message = parsed("Hi", prefix="<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert (message.reasoning, message.content) == ("", "Hi")


def test_words_in_the_prefix_belong_to_the_message():
    message = parsed("thinking</think>Hi", prefix="<|im_start|>assistant\n<think>I'm ")
    assert message.reasoning == "I'm thinking"
    assert message.text == "thinking</think>Hi"


def test_unclosed_thinking_is_reasoning():
    assert parsed("<think>never ends").reasoning == "never ends"


def test_a_call_inside_thinking_is_a_call():
    message = parsed("<think>I shall call.\n" + GOOD)
    assert message.reasoning == "I shall call."
    assert calls(message) == [("f", '{"x": 1}', "ok")]


def test_prose_about_the_tag_inside_thinking_stays_reasoning():
    message = parsed("<think>the <tool_call> tag</think>ok")
    assert message.reasoning == "the <tool_call> tag"
    assert message.content == "ok"


def test_end_and_start_markers_inside_a_string_are_text():
    inner = 'a </tool_call> b <tool_call>\n{"name": "g"} </think> c'
    message = parsed(block(json.dumps({"name": "f", "arguments": {"x": inner}})) + GOOD)
    assert [json.loads(call.arguments) for call in message.tool_calls] == [{"x": inner}, {"x": 1}]
    assert message.content == ""


def test_arguments_before_the_name():
    message = parsed(block('{"arguments": {"x": [1, {"y": "}"}]}, "name": "f"}'))
    assert calls(message) == [("f", '{"x": [1, {"y": "}"}]}', "ok")]


@pytest.mark.parametrize(
    "rest", ["", ', "arguments": null', ', "arguments": {}', ', "arguments": ""']
)
def test_a_call_without_arguments_has_an_empty_object(rest):
    assert calls(parsed(block('{"name": "f"' + rest + "}"))) == [("f", "{}", "ok")]


def test_arguments_written_as_a_string_of_json_are_unwrapped():
    body = json.dumps({"name": "f", "arguments": json.dumps({"x": '\u00e9 "q"'})})
    assert calls(parsed(block(body))) == [("f", json.dumps({"x": '\u00e9 "q"'}), "ok")]


def test_the_openai_form_is_read():
    body = '{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}'
    assert calls(parsed(block(body))) == [("f", '{"x": 1}', "ok")]


def test_argument_text_is_kept_as_written():
    arguments = '{ "x":1.0,\n "y" : "\\u00e9\\n", "x": 12345678901234567890 }'
    assert calls(parsed(block('{"name":"f","arguments":' + arguments + "}"))) == [
        ("f", arguments, "ok")
    ]


MALFORMED = {
    "a word for an object": '{"name": "bad", "arguments": {oops}}',
    "a missing brace": '{"name": "bad", "arguments": {"x": 1}',
    "a surplus brace": '{"name": "bad", "arguments": {"x": 1}}}',
    "an open string": '{"name": "bad", "arguments": {"x": "oops}}',
    "single quotes": "{'name': 'bad', 'arguments': {}}",
    "a trailing comma": '{"name": "bad", "arguments": {"x": 1},}',
    "NaN": '{"name": "bad", "arguments": {"x": NaN}}',
    "a list": '{"name": "bad", "arguments": [1]}',
    "a raw control character": '{"name": "bad", "arguments": {"x": "\x01"}}',
    "mixed brackets": '{"name": "bad", "arguments": {"x": [1}}',
    "nothing": "{",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_call_leaves_its_neighbours_intact(body):
    message = parsed("\n".join([GOOD, block(body), GOOD]))
    statuses = [call.status for call in message.tool_calls]
    assert statuses == [CallStatus.OK, CallStatus.INVALID_JSON, CallStatus.OK]
    assert message.content == ""
    assert body in message.tool_calls[1].raw


def test_a_call_without_a_name_is_missing_name():
    message = parsed(block('{"arguments": {"x": 1}}') + GOOD)
    assert calls(message) == [("", '{"x": 1}', "missing_name"), ("f", '{"x": 1}', "ok")]


@pytest.mark.parametrize("size", range(len("<tool_call>\n{"), len(GOOD) - len("</tool_call>")))
def test_a_call_cut_off_anywhere_is_truncated_and_the_finished_one_stays(size):
    message = parsed(GOOD + GOOD[:size], finish_reason="length")
    assert [call.status for call in message.tool_calls] == [CallStatus.OK, CallStatus.TRUNCATED]
    assert calls(message)[0] == ("f", '{"x": 1}', "ok")


def test_a_complete_object_without_its_end_tag_is_ok_unless_the_limit_cut_it():
    text = GOOD.removesuffix("\n</tool_call>")
    assert calls(parsed(text)) == [("f", '{"x": 1}', "ok")]
    assert calls(parsed(text, finish_reason="length")) == [("f", '{"x": 1}', "truncated")]


def test_an_unknown_tool_is_kept_and_flagged():
    text = block('{"name": "g", "arguments": {"x": 1}}')
    assert calls(parsed(text, tools=TOOLS)) == [("g", '{"x": 1}', "unknown_tool")]
    assert calls(parsed(text)) == [("g", '{"x": 1}', "ok")]


def test_deep_nesting_and_huge_numbers_are_valid():
    deep = "[" * 20_000 + "]" * 20_000
    arguments = '{"x": ' + deep + ', "y": ' + "9" * 10_000 + "}"
    text = block('{"name": "f", "arguments": ' + arguments + "}")
    assert PARSER.parse(text).tool_calls[0].status is CallStatus.OK
    broken = block('{"name": "f", "arguments": {"x": ' + "[" * 20_000 + "," + "]" * 20_000 + "}}")
    assert PARSER.parse(broken).tool_calls[0].status is CallStatus.INVALID_JSON


@pytest.mark.parametrize("odd", ["\ufeff", "\r\n", "\ud800", "\x00", "\u2028"])
def test_odd_characters_are_kept(odd):
    message = parsed(f"a{odd}b" + block('{"name": "f", "arguments": {"x": "a' + "\udcff" + '"}}'))
    assert message.content == f"a{odd}b"
    assert message.tool_calls[0].arguments == '{"x": "a\udcff"}'


def test_arguments_flow_before_the_call_ends():
    stream = PARSER.stream()
    stream.feed('<tool_call>\n{"name": "f", "arguments": {"x": "so')
    events = stream.feed(" far")
    assert [getattr(event, "text", None) for event in events] == [" far"]


def test_rendering_is_the_way_back():
    source = [
        ToolCall(
            name="f",
            arguments='{"x": "</tool_call> \\u00e9"}',
            id="a",
            index=0,
            status=CallStatus.OK,
            span=Span(start=0, end=0),
            raw="",
        )
    ] * 2
    text = PARSER.render(source, content="Hello", reasoning="hm")
    assert text.startswith("<think>\nhm\n</think>\n\nHello\n<tool_call>\n")
    message = parsed(text)
    assert [(c.name, c.arguments) for c in message.tool_calls] == [
        (c.name, c.arguments) for c in source
    ]
    assert (message.reasoning, message.content) == ("hm", "Hello\n")


def test_rendering_refuses_what_the_format_cannot_hold():
    [call] = parsed(block('{"name": "f", "arguments": {oops}}')).tool_calls
    with pytest.raises(RenderError, match="not JSON"):
        PARSER.render([call])


def test_a_thinking_block_that_the_prefix_closed_is_not_part_of_the_message():
    prefix = "USER: one?<think>\nold\n</think>\nOld answer. USER: two? BOT: "
    message = get_parser("hermes").parse("New answer.", prefix=prefix)
    assert (message.content, message.reasoning) == ("New answer.", "")


def test_a_thinking_block_that_the_prefix_opened_last_goes_on():
    prefix = "<think>\nold\n</think>\nOld answer. BOT: <think>\n"
    message = get_parser("hermes").parse("new\n</think>\n\nNew answer.", prefix=prefix)
    assert (message.content, message.reasoning) == ("New answer.", "new")
