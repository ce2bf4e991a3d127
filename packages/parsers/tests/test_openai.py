"""Events become the deltas of chat completion chunks, records become messages."""

import json
from typing import Any

import pytest

from treadle_parsers import get_parser
from treadle_parsers.openai import DeltaWriter, accumulated, chunk_dict, merged, message_dict
from treadle_parsers.testing import pieces

TEXT = (
    "<think>hm</think>Hi "
    '<tool_call>{"arguments": {}}</tool_call>'
    '<tool_call>{"name": "f", "arguments": {"x": "a"}}</tool_call>'
    '<tool_call>{"name": "g"}</tool_call>'
)


def test_deltas_add_up_to_the_message():
    parser = get_parser("hermes")
    for size in (1, 4, len(TEXT)):
        stream = parser.stream()
        writer = DeltaWriter()
        deltas = [d for piece in pieces(TEXT, size) for d in writer.write(stream.feed(piece))]
        message = stream.close()
        deltas += writer.write(stream.final_events)
        assert "".join(d.get("content", "") for d in deltas) == "Hi "
        assert "".join(d.get("reasoning_content", "") for d in deltas) == "hm"
        calls: dict[int, dict[str, str]] = {}
        for one in (call for delta in deltas for call in delta.get("tool_calls", [])):
            if "id" in one:
                assert one["index"] not in calls
                calls[one["index"]] = {"name": one["function"]["name"], "arguments": ""}
            calls[one["index"]]["arguments"] += one["function"]["arguments"]
        assert [calls[0], calls[1]] == [
            {"name": "f", "arguments": '{"x": "a"}'},
            {"name": "g", "arguments": "{}"},
        ]
        whole = message_dict(message)
        assert [call["function"] for call in whole["tool_calls"]] == [calls[0], calls[1]]
        assert (whole["content"], whole["reasoning_content"]) == ("Hi ", "hm")
        json.dumps(whole)


def test_a_message_without_calls_has_no_tool_calls():
    assert message_dict(get_parser("hermes").parse("Hi")) == {"role": "assistant", "content": "Hi"}


def streamed(text: str, size: int) -> list[dict[str, Any]]:
    stream = get_parser("hermes").stream()
    writer = DeltaWriter()
    deltas = [d for piece in pieces(text, size) for d in writer.write(stream.feed(piece))]
    stream.close()
    return [*deltas, *writer.write(stream.final_events)]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_what_a_stream_adds_up_to_is_the_message_of_the_record(size):
    assert accumulated(streamed(TEXT, size)) == message_dict(get_parser("hermes").parse(TEXT))


def test_deltas_joined_in_any_groups_say_the_same():
    deltas = streamed(TEXT, 1)
    assert merged([merged(deltas[:9]), merged(deltas[9:30]), merged(deltas[30:])]) == merged(deltas)
    assert merged([]) == {}
    assert accumulated([]) == {"role": "assistant", "content": None}


def test_a_server_chooses_the_ids():
    stream = get_parser("hermes").stream()
    writer = DeltaWriter(call_id=lambda start: f"{start.name}-{start.index}")
    deltas = writer.write(stream.feed('<tool_call>{"name": "f"}</tool_call>'))
    assert merged(deltas)["tool_calls"][0]["id"] == "f-0"


def test_the_openai_package_takes_the_message():
    chat = pytest.importorskip("openai.types.chat")
    fields = message_dict(get_parser("hermes").parse(TEXT))
    message = chat.ChatCompletionMessage.model_validate(fields, strict=True)
    assert [type(one).__name__ for one in message.tool_calls] == [
        "ChatCompletionMessageFunctionToolCall"
    ] * 2
    assert message.model_dump(exclude_unset=True) == fields
    assert message.to_dict() == fields


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_openai_package_adds_the_chunks_up_to_the_message(size):
    chat = pytest.importorskip("openai.types.chat")
    streaming = pytest.importorskip("openai.lib.streaming.chat")
    state = streaming.ChatCompletionStreamState()
    facts: dict[str, Any] = {"completion_id": "c", "model": "m", "created": 1}
    chunks = [
        chunk_dict(delta, **facts) for delta in ({"role": "assistant"}, *streamed(TEXT, size))
    ]
    chunks.append(chunk_dict({}, **facts, finish_reason="tool_calls"))
    for chunk in chunks:
        model = chat.ChatCompletionChunk.model_validate(chunk, strict=True)
        assert model.to_dict() == chunk
        state.handle_chunk(model)
    completion = state.get_final_completion()
    assert completion.choices[0].finish_reason == "tool_calls"
    expected = message_dict(get_parser("hermes").parse(TEXT))
    added = completion.choices[0].message.to_dict()
    assert {key: added[key] for key in ("role", "content", "reasoning_content")} == {
        key: expected[key] for key in ("role", "content", "reasoning_content")
    }
    calls = [(one["id"], one["function"]["name"]) for one in added["tool_calls"]]
    assert calls == [(one["id"], one["function"]["name"]) for one in expected["tool_calls"]]
    arguments = [one["function"]["arguments"] for one in added["tool_calls"]]
    assert arguments == [one["function"]["arguments"] for one in expected["tool_calls"]]
