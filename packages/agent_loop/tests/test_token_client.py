import pytest

from treadle_agent_loop import (
    AgentLoop,
    ChatTemplateError,
    ChatTokenizer,
    ContextLengthError,
    FinishReason,
    SamplingParams,
    StopReason,
    TokenClient,
    TokenProtocolError,
    UnknownModelError,
    tool,
)
from treadle_agent_loop.testing import Fault, HostWorkspace, ToyServer
from treadle_agent_loop.testing.tokenizers import toy_tokenizer
from treadle_agent_loop.transports import VllmCompletions
from treadle_agent_loop.transports.base import detect_logprobs_mode
from treadle_parsers import CallStatus, UnknownParserError

TASK = [{"role": "user", "content": "Hi."}]


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


def _call(text):
    return f'<tool_call>\n{{"name": "echo", "arguments": {{"text": "{text}"}}}}\n</tool_call>'


def _client(server, **options):
    options = {"model": "toy", "tokenizer": server.tokenizer, **options}
    return TokenClient(base_url=server.base_url, **options)


def _server(*answers, **options):
    said = iter(answers)
    return ToyServer(tokenizer=toy_tokenizer(), tokens=lambda prompt: next(said), **options)


async def test_the_request_is_stock_vllm_and_the_seed_changes_with_the_turn():
    sampling = SamplingParams(seed=3, stop=("###",), max_tokens=50)
    async with (
        _server(_call("a") + "<|im_end|>", "End.<|im_end|>") as server,
        _client(server) as client,
    ):
        result = await AgentLoop(client, [echo], sampling=sampling).run(TASK)
    first, second = server.requests
    assert first.pop("seed") != second.pop("seed")
    prompt = first.pop("prompt")
    assert second["prompt"][: len(prompt)] == prompt
    assert first == {
        "model": "toy",
        "max_tokens": 50,
        "temperature": 1.0,
        "top_p": 1.0,
        "n": 1,
        "logprobs": 1,
        "return_token_ids": True,
        "skip_special_tokens": False,
        "stop": ["###"],
    }
    assert (result.stop_reason, result.final_text) == (StopReason.FINISHED, "End.")
    assert result.ledger.logprobs == "processed"


async def test_malformed_neighbours_leave_good_calls_alone_and_ids_are_unique():
    broken = "<tool_call>\n{oops\n</tool_call>"
    said = f"{_call('a')}\n{broken}\n{_call('b')}<|im_end|>"
    async with _server(said, said, "End.<|im_end|>") as server, _client(server) as client:
        result = await AgentLoop(client, [echo]).run(TASK)
    assert [record.outcome for record in result.tool_records] == ["ok", "bad_call", "ok"] * 2
    ids = [record.call_id for record in result.tool_records]
    assert len(set(ids)) == 6


async def test_a_call_cut_by_the_token_limit_is_truncated_and_not_run():
    async with _server(_call("abcdefgh")) as server, _client(server) as client:
        session = client.session()
        turn = await session.complete(TASK, (echo.schema,), SamplingParams(max_tokens=8))
    assert turn.finish_reason is FinishReason.LENGTH
    assert [entry.status for entry in turn.tool_calls] == [CallStatus.TRUNCATED]
    assert turn.message["tool_calls"][0]["id"]


async def test_the_answer_is_bounded_by_the_room_in_the_context():
    async with _server("a b c d e f g h", max_model_len=20) as server, _client(server) as client:
        turn = await client.session().complete(TASK, (), SamplingParams(max_tokens=500))
        room = 20 - turn.usage.prompt_tokens
        assert server.requests[0]["max_tokens"] == room
        long = [{"role": "user", "content": "word " * 50}]
        with pytest.raises(ContextLengthError, match="context window 20"):
            await client.session().complete(long, (), SamplingParams())
        assert len(server.requests) == 1


async def test_a_server_without_token_ids_is_refused_with_the_remedy():
    async with _server("Hi.", token_ids=False) as server, _client(server) as client:
        with pytest.raises(TokenProtocolError, match="returned no token ids"):
            await client.probe()


async def test_the_probe_passes_where_token_ids_are_spoken():
    async with _server("Hi.") as server, _client(server) as client:
        await client.probe()
        assert server.attempts == 1


async def test_a_wrong_model_name_is_answered_with_the_names_there_are():
    async with _server(model="small") as server, _client(server) as client:
        with pytest.raises(UnknownModelError, match="it offers: 'small'"):
            await client.session().complete(TASK, (), SamplingParams())
        assert server.attempts == 0


async def test_a_template_that_ignores_tools_is_reported_before_anything_is_sent():
    from transformers import PreTrainedTokenizerFast

    blind = PreTrainedTokenizerFast(tokenizer_object=toy_tokenizer()._backend)
    blind.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    async with _server("Hi.") as server, _client(server, tokenizer=ChatTokenizer(blind)) as client:
        with pytest.raises(ChatTemplateError, match="ignores tools"):
            await AgentLoop(client, [echo]).run(TASK)
        assert server.attempts == 0


def test_a_tokenizer_without_a_template_is_reported():
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=toy_tokenizer()._backend)
    with pytest.raises(ChatTemplateError, match="no chat template"):
        ChatTokenizer(bare)


def test_a_folder_without_a_tokenizer_is_reported(tmp_path):
    with pytest.raises(ChatTemplateError, match="no tokenizer could be loaded"):
        ChatTokenizer.load(tmp_path)


def test_a_saved_tokenizer_loads_with_its_template(tmp_path):
    toy_tokenizer().save(tmp_path)
    loaded = ChatTokenizer.load(tmp_path)
    assert loaded.closers == {"<|im_end|>"}
    assert not loaded.ignores_tools


def test_an_unknown_parser_is_refused_at_once():
    with pytest.raises(UnknownParserError, match="hermes"):
        TokenClient(
            base_url="http://127.0.0.1:1/v1", model="toy", tokenizer=toy_tokenizer(), parser="herms"
        )


async def test_a_long_conversation_is_planned_off_the_loop_and_stays_exact():
    history = [{"role": "user", "content": "word <|im_end|> " * 3000}]
    async with (
        _server("One.<|im_end|>", "Two.<|im_end|>", max_model_len=10**6) as server,
        _client(server) as client,
    ):
        session = client.session()
        turn = await session.complete(history, (), SamplingParams())
        await session.complete([*history, turn.message, *TASK], (), SamplingParams())
    (segment,) = session.segments()
    assert segment.turns == (0, 1)
    assert session.report().divergences == {"injection": 3000}


async def test_a_retried_request_counts_once():
    async with (
        _server("Hi.<|im_end|>", faults=[Fault(drop=True), Fault(status=503)]) as server,
        _client(server, backoff=0.001) as client,
    ):
        result = await AgentLoop(client).run(TASK)
    assert result.ledger.sampled == result.ledger.trained == result.usage.completion_tokens


async def test_a_workspace_tool_and_exact_tokens_meet_in_one_rollout():
    from treadle_agent_loop import python_tool

    code = '<tool_call>\n{"name": "python", "arguments": {"code": "print(2**10)"}}\n</tool_call>'
    async with (
        HostWorkspace() as workspace,
        _server(code + "<|im_end|>", "1024<|im_end|>") as server,
        _client(server) as client,
    ):
        result = await AgentLoop(client, [python_tool]).run(TASK, workspace)
    assert result.tool_records[0].result == "1024"
    text = server.tokenizer.decode(result.segments[0].tokens)
    assert "<tool_response>\n1024\n</tool_response>" in text


@pytest.mark.parametrize(
    ("values", "mode"),
    [((-0.5, -0.5), "raw"), ((-0.5, -0.1), "processed"), ((-1e-6, -1e-7), "unknown")],
)
async def test_the_logprobs_mode_is_detected_from_two_temperatures(values, mode):
    faults = [
        Fault(
            status=200, body=f'{{"choices": [{{"logprobs": {{"top_logprobs": [{{"a": {v}}}]}}}}]}}'
        )
        for v in values
    ]
    async with _server("Hi.<|im_end|>", faults=faults) as server, _client(server) as client:
        assert await detect_logprobs_mode(VllmCompletions(client.http, "toy"), [1]) == mode


async def test_raw_logprobs_are_reported_and_warned_about_once(caplog):
    body = '{"choices": [{"logprobs": {"top_logprobs": [{"a": -0.5}]}}]}'
    faults = [Fault(status=200, body=body)] * 2
    async with _server(*["Hi.<|im_end|>"] * 2, faults=faults) as server, _client(server) as client:
        loop = AgentLoop(client, sampling=SamplingParams(temperature=0.7))
        results = [await loop.run(TASK), await loop.run(TASK)]
    assert [result.ledger.logprobs for result in results] == ["raw", "raw"]
    assert len([r for r in caplog.records if "processed_logprobs" in r.message]) == 1
