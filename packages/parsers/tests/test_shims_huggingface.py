"""Responses in the shape of transformers' `parse_response`, beside its own where it has one."""

import copy
from typing import Any

import pytest

from treadle_parsers import UnknownParserError
from treadle_parsers.shims.huggingface import ResponseReader, attach, parse_response

TEXT = (
    "<think>\nhm\n</think>\n\nHi "
    '<tool_call>\n{"name": "f", "arguments": {"x": 1, "y": "é"}}\n</tool_call>\n'
    '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>'
)
CALLS = [
    {"type": "function", "function": {"name": "f", "arguments": {"x": 1, "y": "é"}}},
    {"type": "function", "function": {"name": "g", "arguments": {}}},
]
MESSAGE = {"role": "assistant", "thinking": "hm", "content": "Hi ", "tool_calls": CALLS}

TEMPLATE: dict[str, Any] = {
    "version": 1,
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "thinking": {"open": "<think>\n", "close": "\n</think>\n\n"},
        "content": {},
        "tool_calls": {
            "open": "<tool_call>\n",
            "close": "\n</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {
                "type": "function",
                "function": {"name": "{content.name}", "arguments": "{content.arguments}"},
            },
        },
    },
}


def tokenizer() -> Any:
    """A tokenizer of single characters; the markers of the format are its special tokens."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers", minversion="5.0")
    marks = ["[UNK]", "<tool_call>", "</tool_call>"]
    vocabulary = {one: at for at, one in enumerate(marks)}
    for char in sorted(set(TEXT)):
        vocabulary.setdefault(char, len(vocabulary))
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    inner.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", extra_special_tokens=marks[1:]
    )


def test_a_response_is_a_message_with_arguments_as_objects():
    assert parse_response(TEXT, "hermes") == MESSAGE
    assert parse_response("Hi", "hermes") == {"role": "assistant", "content": "Hi"}


def test_the_reasoning_may_have_another_key():
    assert parse_response(TEXT, "hermes", reasoning_key="reasoning_content") == {
        "role": "assistant",
        "reasoning_content": "hm",
        "content": "Hi ",
        "tool_calls": CALLS,
    }


def test_calls_that_cannot_be_read_are_left_out():
    text = '<tool_call>{"name": "f", "arguments": {oops}}</tool_call>' + TEXT
    assert parse_response(text, "hermes")["tool_calls"] == CALLS


def test_tools_type_the_arguments():
    text = "<tool_call>\n<function=f>\n<parameter=x>\n7\n</parameter>\n</function>\n</tool_call>"
    function = {"name": "f", "parameters": {"properties": {"x": {"type": "integer"}}}}
    for tool in ({"type": "function", "function": function}, function):
        message = parse_response(text, "qwen3_coder", tools=[tool])
        assert message["tool_calls"][0]["function"]["arguments"] == {"x": 7}


def test_a_batch_takes_one_prefix_or_one_for_each():
    texts = ["hm</think>4", "5"]
    assert parse_response(texts, "hermes", prefix=["<think>", ""]) == [
        {"role": "assistant", "thinking": "hm", "content": "4"},
        {"role": "assistant", "content": "5"},
    ]
    assert parse_response(texts[:1], "hermes", prefix="<think>")[0]["thinking"] == "hm"
    with pytest.raises(ValueError, match="2 responses came with 3 prefixes"):
        parse_response(texts, "hermes", prefix=["", "", ""])


def test_an_unknown_format_is_refused_at_once():
    with pytest.raises(UnknownParserError, match="hermes"):
        parse_response("x", "hermse")
    with pytest.raises(UnknownParserError):
        attach(object(), "hermse")


def test_tokens_need_a_tokenizer():
    with pytest.raises(TypeError, match="tokenizer"):
        parse_response([1, 2], "hermes")


@pytest.mark.parametrize(
    "text",
    [
        "Hi",
        "<think>\nhm\n</think>\n\nHi",
        TEXT.replace("Hi ", "Hi").replace("</tool_call>\n", "</tool_call>"),
        '<tool_call>\n{"name": "g", "arguments": {"a": [1, {"b": null}]}}\n</tool_call>',
    ],
)
def test_the_message_is_that_of_transformers_own_parser(text):
    real = tokenizer()
    own = real.parse_response(text, TEMPLATE, prefix="")
    attach(real, "hermes")
    assert real.parse_response(text, prefix="") == own


def test_an_attached_tokenizer_reads_texts_tokens_and_batches():
    real = tokenizer()
    attach(real, "hermes")
    ids = real.encode(TEXT, add_special_tokens=False)
    assert real.decode(ids) == TEXT
    for response in (TEXT, ids):
        assert real.parse_response(response, prefix="") == MESSAGE
    assert real.parse_response([TEXT, "Hi"], prefix="")[0] == MESSAGE
    assert real.parse_response([ids, ids]) == [MESSAGE, MESSAGE]
    prefix = real.encode("<think>", add_special_tokens=False)
    assert real.parse_response("hm</think>Hi", prefix=prefix)["thinking"] == "hm"


def test_an_attached_tokenizer_still_reads_by_a_template_and_can_be_copied():
    real = tokenizer()
    attach(real, "qwen3_coder")
    attach(real, "hermes")
    assert real.parse_response(TEXT, TEMPLATE, prefix="")["tool_calls"] == CALLS
    assert copy.deepcopy(real).parse_response(TEXT) == MESSAGE


def test_functions_are_tools_too():
    pytest.importorskip("transformers", minversion="5.0")

    def f(x: int) -> int:
        """Add one.

        Args:
            x: A number.
        """
        return x + 1

    text = "<tool_call>\n<function=f>\n<parameter=x>\n7\n</parameter>\n</function>\n</tool_call>"
    reader = ResponseReader(format_name="qwen3_coder")
    assert reader(text, tools=[f])["tool_calls"][0]["function"]["arguments"] == {"x": 7}
