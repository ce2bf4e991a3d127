import json

import pytest

from treadle_agent_loop import (
    AgentLoop,
    ChatClient,
    FinishReason,
    SamplingParams,
    StopReason,
    python_tool,
)
from treadle_agent_loop.testing import (
    Fault,
    HostWorkspace,
    ScriptedTurn,
    ToyServer,
    call,
)
from treadle_parsers import UnknownParserError

TASK = [{"role": "user", "content": "What is 6 * 7?"}]


def _client(server, **options):
    return ChatClient(base_url=server.base_url, model="toy", api_key="secret", **options)


async def test_structured_calls_run_and_the_answer_ends_the_rollout():
    def chat(messages):
        if messages[-1]["role"] == "tool":
            return ScriptedTurn(content=f"It is {messages[-1]['content']}.")
        return ScriptedTurn(calls=(call("python", code="print(6 * 7)"),), reasoning="Multiply.")

    async with ToyServer(chat=chat) as server, _client(server) as client, HostWorkspace() as place:
        sampling = SamplingParams(seed=7, stop=("###",), temperature=0.5)
        result = await AgentLoop(client, [python_tool], sampling=sampling).run(TASK, place)
    assert (result.stop_reason, result.final_text) == (StopReason.FINISHED, "It is 42.")
    assert result.messages[1]["reasoning_content"] == "Multiply."
    assert result.messages[1]["content"] == ""
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (20, 10)
    assert (result.segments, result.ledger.sampled) == ((), 0)
    first, second = server.requests
    assert first["tools"] == [python_tool.schema]
    assert first["messages"] == TASK
    assert (first["temperature"], first["stop"]) == (0.5, ["###"])
    assert first["seed"] != second["seed"]


async def test_history_goes_back_in_a_form_that_servers_accept():
    def chat(messages):
        if len(messages) > 1:
            return ScriptedTurn(content="done")
        return ScriptedTurn(calls=(call("python", raw="{broken"), call("", code="1")))

    async with ToyServer(chat=chat) as server, _client(server) as client:
        result = await AgentLoop(client, [python_tool]).run(TASK)
    kept = [entry["function"] for entry in result.messages[1]["tool_calls"]]
    sent = [entry["function"] for entry in server.requests[1]["messages"][1]["tool_calls"]]
    assert kept[0]["arguments"] == "{broken"
    assert json.loads(sent[0]["arguments"]) == {"invalid_json": "{broken"}
    assert sent[1]["name"] == "unnamed"
    assert [record.outcome for record in result.tool_records] == ["bad_call", "bad_call"]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"reasoning_details": [{"type": "reasoning.text", "text": "H"}, {"text": "m."}]},
    ],
)
async def test_every_providers_reasoning_field_is_read(fields):
    answer = {"choices": [{"message": {"content": "Yes.", **fields}, "finish_reason": "stop"}]}
    fault = Fault(status=200, body=json.dumps(answer))
    async with ToyServer(faults=[fault]) as server, _client(server) as client:
        turn = await client.session().complete(TASK, (), SamplingParams())
    assert turn.message["reasoning_content"] == "Hm."
    assert turn.finish_reason is FinishReason.STOP


async def test_raw_call_text_is_parsed_on_this_side_when_asked():
    text = 'Let me.\n<tool_call>\n{"name": "python", "arguments": {"code": "1"}}\n</tool_call>'
    server = ToyServer(chat=lambda messages: ScriptedTurn(content=text))
    async with server, _client(server) as plain, _client(server, parser="hermes") as parsing:
        schemas = (python_tool.schema,)
        unread = await plain.session().complete(TASK, schemas, SamplingParams())
        read = await parsing.session().complete(TASK, schemas, SamplingParams())
    assert unread.tool_calls == ()
    assert [entry.name for entry in read.tool_calls] == ["python"]
    assert read.finish_reason is FinishReason.TOOL_CALLS
    assert "<tool_call>" not in read.message["content"]


def test_an_unknown_parser_is_refused_at_once():
    with pytest.raises(UnknownParserError, match="hermes"):
        ChatClient(base_url="http://127.0.0.1:1/v1", model="toy", parser="hermess")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_field_that_extra_body_sets_to_none_is_not_sent(stream):
    extra = {"max_tokens": None, "max_completion_tokens": 7, "stream_options": None, "top_k": 3}
    server = ToyServer(chat=lambda messages: ScriptedTurn(content="Yes."))
    async with server, _client(server, extra_body=extra, stream=stream) as client:
        await client.session().complete(TASK, (), SamplingParams())
    (sent,) = server.requests
    assert not {"max_tokens", "stream_options"} & set(sent)
    assert (sent["max_completion_tokens"], sent["top_k"]) == (7, 3)


async def test_a_length_stop_is_reported_as_one():
    turn = ScriptedTurn(content="Once upon", finish_reason=FinishReason.LENGTH)
    async with ToyServer(chat=lambda messages: turn) as server, _client(server) as client:
        result = await AgentLoop(client).run(TASK)
    assert (result.stop_reason, result.final_text) == (StopReason.LENGTH, "Once upon")


async def test_the_model_list_check_passes_where_the_model_is_served():
    async with ToyServer() as server, _client(server) as client:
        await client.check()
