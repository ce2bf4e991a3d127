"""Events become the deltas of chat completion chunks, records become messages."""

import json

from treadle_parsers import get_parser
from treadle_parsers.openai import DeltaWriter, message_dict
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
