import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop import (
    AgentLoop,
    ChatClient,
    FinishReason,
    ModelServerError,
    SamplingParams,
    UnknownModelError,
    python_tool,
)
from treadle_agent_loop.chat_answers import join_stream, read_answer
from treadle_agent_loop.events import EventDecoder, EventStream
from treadle_agent_loop.testing import Fault, HostWorkspace, ScriptedTurn, ToyServer, call
from treadle_agent_loop.testing.wires import chat_chunks

TASK = [{"role": "user", "content": "What is 6 * 7?"}]


def _client(server, **options):
    options = {"model": "toy", "stream": True, "backoff": 0.001, **options}
    return ChatClient(base_url=server.base_url, **options)


def _sse(*events, done=True):
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines) + ("data: [DONE]\n\n" if done else "")


def _delta(finish=None, **delta):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


async def _turn(body, **options):
    server = ToyServer(faults=[Fault(status=200, body=body)])
    async with server, _client(server, **options) as client:
        return await client.session().complete(TASK, (), SamplingParams())


async def test_a_streamed_rollout_is_the_one_that_comes_whole():
    def chat(messages):
        if messages[-1]["role"] == "tool":
            return ScriptedTurn(content=f"It is {messages[-1]['content']}.")
        calls = (call("python", code="print(6 * 7)"), call("python", code="print('ä')"))
        return ScriptedTurn(calls=calls, reasoning="Multiply.", content="Let me.")

    results = []
    for stream in (False, True):
        async with (
            ToyServer(chat=chat) as server,
            _client(server, stream=stream) as client,
            HostWorkspace() as place,
        ):
            results.append(await AgentLoop(client, [python_tool]).run(TASK, place))
        assert bool(server.requests[0].get("stream")) == stream
    whole, streamed = results
    assert streamed.messages == whole.messages
    assert streamed.usage == whole.usage
    assert streamed.usage.completion_tokens == 10
    assert streamed.final_text.startswith("It is ")
    assert server.requests[0]["stream_options"] == {"include_usage": True}


@given(
    st.text(), st.text(), st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), max_size=4)
)
def test_any_answer_cut_into_deltas_is_joined_again(content, reasoning, calls):
    message = {
        "content": content,
        "reasoning_content": reasoning,
        "tool_calls": [
            {"id": f"c{index}", "type": "function", "function": {"name": name, "arguments": text}}
            for index, (name, text) in enumerate(calls)
        ],
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    whole = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    joined = join_stream(EventStream(events=tuple(chat_chunks(whole)), done=True))
    assert read_answer(joined, None, ()) == read_answer(whole, None, ())


@given(
    st.lists(st.text(alphabet="ab ä:\t", min_size=1), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.data(),
)
def test_events_are_the_same_however_the_bytes_are_cut(texts, newline, data):
    comment = f": ping{newline}event: message{newline}"
    stream = "".join(f"{comment}data: {text}{newline}{newline}" for text in texts).encode()
    decoder, found, rest = EventDecoder(), [], stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += decoder.feed(rest[:size])
        rest = rest[size:]
    assert found == texts


async def test_calls_without_an_index_are_told_apart_by_their_ids():
    def piece(arguments, **head):
        return {"function": {"arguments": arguments, **head.pop("function", {})}, **head}

    turn = await _turn(
        _sse(
            _delta(tool_calls=[piece('{"a"', id="x", function={"name": "f"})]),
            _delta(tool_calls=[piece(": 1}")]),
            _delta(tool_calls=[piece("{}", id="y", function={"name": "g"})]),
            _delta(finish="tool_calls"),
        )
    )
    told = [(entry.id, entry.name, entry.arguments) for entry in turn.tool_calls]
    assert told == [("x", "f", '{"a": 1}'), ("y", "g", "{}")]
    assert turn.finish_reason is FinishReason.TOOL_CALLS


async def test_streamed_reasoning_details_are_joined_and_kept_for_the_provider():
    first = {"type": "reasoning.text", "index": 0, "text": "Mul"}
    turn = await _turn(
        _sse(
            _delta(reasoning_details=[first]),
            _delta(reasoning_details=[{"index": 0, "text": "tiply.", "signature": "s"}]),
            _delta(reasoning_details=[{"type": "reasoning.encrypted", "index": 1, "data": "zz"}]),
            _delta(content="42"),
            _delta(finish="stop"),
        )
    )
    assert turn.message["reasoning_content"] == "Multiply."
    assert turn.message["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "Multiply.", "signature": "s"},
        {"type": "reasoning.encrypted", "index": 1, "data": "zz"},
    ]


async def test_reasoning_in_parts_of_the_content_is_read():
    thinking = [{"type": "text", "text": "Multiply."}]
    parts = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": "42"}]
    body = json.dumps({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]})
    turn = await _turn(body, stream=False)
    assert turn.message == {"role": "assistant", "content": "42", "reasoning_content": "Multiply."}


async def test_arguments_that_are_no_text_become_json():
    calls = [{"id": "x", "function": {"name": "f", "arguments": {"a": "b"}}}]
    body = json.dumps({"choices": [{"message": {"tool_calls": calls}}]})
    turn = await _turn(body, stream=False)
    assert turn.tool_calls[0].arguments == '{"a": "b"}'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (_sse(_delta(content="half"), done=False), "broke off after 1 events"),
        (_sse(_delta(content="a"))[:-40] + "\n\n", "no JSON"),
        (_sse(_delta(content="a"), {"error": {"message": "out of memory"}}), "out of memory"),
        (_sse(_delta(content="a"), {"error": "gone"}), "gone"),
        (_sse([1]), "a JSON list"),
        ('{"choices": []}', "broke off after 0 events"),
    ],
)
async def test_half_sent_and_failed_streams_are_errors(body, words):
    with pytest.raises(ModelServerError, match=words):
        await _turn(body)


async def test_a_stream_whose_connection_breaks_is_asked_for_again():
    cut = Fault(status=200, body=_sse(_delta(content="half"), done=False), cut=True)
    server = ToyServer(chat=lambda messages: ScriptedTurn(content="All."), faults=[cut])
    async with server, _client(server) as client:
        turn = await client.session().complete(TASK, (), SamplingParams())
    assert turn.message["content"] == "All."
    assert server.attempts == 2


async def test_a_stream_that_ended_without_its_last_line_but_with_a_reason_is_whole():
    turn = await _turn(_sse(_delta(content="All."), _delta(finish="length"), done=False))
    assert (turn.message["content"], turn.finish_reason) == ("All.", FinishReason.LENGTH)


async def test_a_wrong_model_name_is_answered_with_the_names_there_are():
    async with ToyServer(model="small") as server, _client(server) as client:
        with pytest.raises(UnknownModelError, match="it offers: 'small'"):
            await client.session().complete(TASK, (), SamplingParams())
