"""The translator for atroposlib's managed servers, on its own."""

import pytest

from treadle_parsers import UnknownParserError
from treadle_parsers.shims.atropos import ToolCallTranslator

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
TEXT = (
    "<think>\nhm\n</think>\n\nHi "
    '<tool_call>\n{"name": "f", "arguments": {"x":1}}\n</tool_call>'
    '<tool_call>\n{"name": "f", "arguments": {oops}}\n</tool_call>'
)


class Tokenizer:
    """What the translator uses of a tokenizer."""

    eos_token = "<eos>"

    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        return "".join(map(chr, ids)) + ("" if skip_special_tokens else self.eos_token)


def translator(name: str = "hermes") -> ToolCallTranslator:
    return ToolCallTranslator(tokenizer=Tokenizer(), parser_name=name)


def message(calls: list, content: str | None = None) -> dict:
    told = [
        {
            "id": one.id,
            "type": "function",
            "function": {"name": one.function.name, "arguments": one.function.arguments},
        }
        for one in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": told}


def test_calls_come_out_and_a_bad_one_does_not_hide_them():
    content, calls, finish = translator().parse_model_output(TEXT + "<|im_end|>", "auto", TOOLS)
    assert (content, finish) == ("<think>\nhm\n</think>\n\nHi ", "tool_calls")
    assert [(one.type, one.function.name, one.function.arguments) for one in calls or []] == [
        ("function", "f", '{"x":1}')
    ]


@pytest.mark.parametrize(("choice", "tools"), [("none", TOOLS), ("auto", None), (None, [])])
def test_without_tools_no_text_is_a_call(choice, tools):
    assert translator().parse_model_output(TEXT, choice, tools) == (TEXT, None, "stop")


def test_a_message_without_a_readable_call_is_its_text():
    for text in ("Hi", '<tool_call>{"name": "f", "arguments": {'):
        expected = (text, None, "stop")
        assert translator().parse_model_output(text + "<eos>", "auto", TOOLS) == expected


def test_a_message_goes_back_as_the_text_that_it_came_from():
    one = translator()
    content, calls, _ = one.parse_model_output(TEXT + "<eos>", "auto", TOOLS)
    said = message(calls or [], content)
    answer = {"role": "tool", "content": "1", "tool_call_id": "x"}
    assert one.convert_messages_for_template([said, answer]) == [
        {"role": "assistant", "content": TEXT},
        answer,
    ]


def test_ids_are_unique_over_a_conversation():
    one = translator()
    first, second = (one.parse_model_output(TEXT, "auto", TOOLS)[1] or [] for _ in "ab")
    assert first[0].id != second[0].id
    assert set(one.call_id_to_raw_text) == {first[0].id, second[0].id}


def test_a_changed_message_is_rendered_in_the_format_of_the_model():
    text = "<tool_call>\n<function=f>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool_call>"
    one = translator("qwen3_coder")
    _, calls, _ = one.parse_model_output(text, "auto", TOOLS)
    said = message(calls or [], "Well.")
    said["tool_calls"][0]["function"]["arguments"] = {"x": "2"}
    [told] = one.convert_messages_for_template([said])
    assert told["content"].startswith("Well.")
    assert "<function=f>\n<parameter=x>\n2\n</parameter>" in told["content"]


def test_special_tokens_are_kept_where_there_are_tools():
    assert translator().decode_with_tool_awareness([65], has_tools=True) == "A<eos>"
    assert translator().decode_with_tool_awareness([65]) == "A"


def test_an_unknown_parser_is_refused():
    with pytest.raises(UnknownParserError):
        translator("hermse")
