import json

import pytest

from treadle_agent_loop import (
    AgentLoop,
    ContextLengthError,
    FinishReason,
    ModelRequestError,
    ModelServerError,
    SamplingParams,
    StopReason,
    TokenClient,
    TokenProtocolError,
    tool,
    transports,
)
from treadle_agent_loop.serving import turn_seed
from treadle_agent_loop.testing import Fault, ToyServer, toy_logprob
from treadle_agent_loop.testing.tokenizers import toy_tokenizer
from treadle_agent_loop.transports import Engine, SglangGenerate, VllmGenerate
from treadle_agent_loop.transports.base import detect_logprobs_mode

TASK = [{"role": "user", "content": "Hi."}]
ENGINES = [Engine.VLLM_COMPLETIONS, Engine.VLLM_GENERATE, Engine.SGLANG]
NATIVE = ENGINES[1:]


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


def _call(text):
    return f'<tool_call>\n{{"name": "echo", "arguments": {{"text": "{text}"}}}}\n</tool_call>'


def _server(engine, *answers, **options):
    said = iter(answers)
    native = None if engine is Engine.VLLM_COMPLETIONS else str(engine)
    options = {"tokens": lambda prompt: next(said), **options}
    return ToyServer(tokenizer=toy_tokenizer(), native=native, **options)


def _client(server, **options):
    options = {"model": "toy", "tokenizer": server.tokenizer, "backoff": 0.001, **options}
    return TokenClient(base_url=server.base_url, **options)


def test_the_public_names_are_pinned():
    assert transports.__all__ == [
        *("Completion", "Engine", "SglangGenerate", "TokenTransport", "VllmCompletions"),
        *("VllmGenerate", "choose_transport"),
    ]
    assert all(hasattr(transports, name) for name in transports.__all__)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_rollout_is_exact_on_every_wire(engine):
    said = (_call("a") + "<|im_end|>", _call("b") + "<|im_end|>", "End.<|im_end|>")
    async with _server(engine, *said) as server, _client(server, engine=engine) as client:
        result = await AgentLoop(client, [echo]).run(TASK)
    assert (result.stop_reason, result.final_text) == (StopReason.FINISHED, "End.")
    assert [record.result for record in result.tool_records] == ["a", "b"]
    (segment,) = result.segments
    for place, (token, mask, logprob) in enumerate(
        zip(segment.tokens, segment.masks, segment.logprobs, strict=True)
    ):
        if mask != -100:
            assert mask == token
            assert logprob == toy_logprob(segment.tokens[:place], token)
    expected = sum(len(server.tokenizer.encode(text)) for text in said)
    assert result.ledger.sampled == result.ledger.trained == expected
    assert result.ledger.dropped == {}


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_the_server_speaks_is_asked_and_not_guessed(engine):
    async with _server(engine, *["x", "Hi.<|im_end|>"]) as server, _client(server) as client:
        if engine is Engine.VLLM_COMPLETIONS:
            server.tokens("")  # no native way, so nothing is sampled while choosing
        assert (await client.check()).transport.name == engine
        turn = await client.session().complete(TASK, (), SamplingParams())
    assert turn.message["content"] == "Hi."


async def test_the_request_to_vllms_own_wire_is_what_vllm_reads():
    sampling = SamplingParams(seed=3, stop=("###",), stop_token_ids=(7,), max_tokens=50)
    engine = Engine.VLLM_GENERATE
    async with (
        _server(engine, "End.<|im_end|>", "End.") as server,
        _client(server, engine=engine) as client,
    ):
        completion = await client.complete([1, 2, 3], sampling, turn=4)
        await client.complete([1, 2, 3], SamplingParams(max_tokens=9))
    assert server.requests[0] == {
        "model": "toy",
        "token_ids": [1, 2, 3],
        "sampling_params": {
            "max_tokens": 50,
            "temperature": 1.0,
            "top_p": 1.0,
            "logprobs": 0,
            "skip_special_tokens": False,
            "stop": ["###"],
            "stop_token_ids": [7],
            "seed": turn_seed(3, 4),
        },
        "return_token_ids": True,
    }
    assert server.requests[1]["sampling_params"]["detokenize"] is False
    assert completion.weight_version == "default"


async def test_the_request_to_sglang_is_what_sglang_reads():
    sampling = SamplingParams(seed=3, stop=("###",), stop_token_ids=(7,), max_tokens=50)
    engine = Engine.SGLANG
    async with (
        _server(engine, "End.<|im_end|>") as server,
        _client(server, engine=engine) as client,
    ):
        completion = await client.complete([1, 2, 3], sampling, turn=4)
    assert server.requests == [
        {
            "input_ids": [1, 2, 3],
            "sampling_params": {
                "max_new_tokens": 50,
                "temperature": 1.0,
                "top_p": 1.0,
                "skip_special_tokens": False,
                "no_stop_trim": True,
                "stop": ["###"],
                "stop_token_ids": [7],
                "sampling_seed": turn_seed(3, 4),
            },
            "return_logprob": True,
            "return_prompt_token_ids": True,
            "stream": False,
        }
    ]
    assert completion.ids == server.tokenizer.encode("End.<|im_end|>")
    assert completion.weight_version == "default"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_turn_that_hits_the_token_limit_says_so(engine):
    async with _server(engine, "a b c d e f") as server, _client(server, engine=engine) as client:
        turn = await client.session().complete(TASK, (), SamplingParams(max_tokens=3))
    assert turn.finish_reason is FinishReason.LENGTH
    assert turn.usage.completion_tokens == 3


@pytest.mark.parametrize("engine", ENGINES)
async def test_another_prompt_than_the_one_sent_is_refused(engine):
    async with (
        _server(engine, "Hi.", echo=lambda ids: [*ids[:-1], 0]) as server,
        _client(server, engine=engine) as client,
    ):
        with pytest.raises(TokenProtocolError, match="differ from position 2"):
            await client.complete([1, 2, 3], SamplingParams())


async def test_a_prompt_that_sglang_counts_otherwise_is_refused():
    meta = {"finish_reason": {"type": "stop"}, "prompt_tokens": 2, "output_token_logprobs": []}
    body = json.dumps({"text": "", "output_ids": [], "meta_info": meta})
    async with (
        _server(Engine.SGLANG, faults=[Fault(status=200, body=body)]) as server,
        _client(server, engine=Engine.SGLANG) as client,
    ):
        with pytest.raises(TokenProtocolError, match="3 ids were sent, it used 2"):
            await client.complete([1, 2, 3], SamplingParams())


@pytest.mark.parametrize("engine", ENGINES)
async def test_missing_logprobs_make_a_sequence_context_only(engine):
    async with (
        _server(engine, "Hi.<|im_end|>", logprobs=lambda values: None) as server,
        _client(server, engine=engine) as client,
    ):
        result = await AgentLoop(client).run(TASK)
    assert result.ledger.trained == 0
    assert result.ledger.sampled == sum(result.ledger.dropped.values()) > 0


async def test_logprobs_of_other_ids_than_the_output_are_not_believed():
    meta = {
        "finish_reason": {"type": "stop", "matched": 5},
        "prompt_tokens": 3,
        "output_token_logprobs": [[-0.1, 4, None], [-0.2, 6, None]],
    }
    body = json.dumps({"output_ids": [4, 5], "meta_info": meta})
    async with (
        _server(Engine.SGLANG, faults=[Fault(status=200, body=body)]) as server,
        _client(server, engine=Engine.SGLANG) as client,
    ):
        completion = await client.complete([1, 2, 3], SamplingParams())
    assert (completion.ids, completion.logprobs) == ((4, 5), None)


async def test_an_older_sglang_without_output_ids_is_read_from_its_logprobs():
    meta = {"finish_reason": {"type": "stop"}, "output_token_logprobs": [[-0.1, 4, "a"]]}
    body = json.dumps({"text": "a", "meta_info": meta})
    async with (
        _server(Engine.SGLANG, faults=[Fault(status=200, body=body)]) as server,
        _client(server, engine=Engine.SGLANG) as client,
    ):
        completion = await client.complete([1, 2, 3], SamplingParams())
    assert (completion.ids, completion.logprobs) == ((4,), (-0.1,))


@pytest.mark.parametrize(
    ("engine", "body"),
    [
        (Engine.VLLM_GENERATE, {"choices": [{"finish_reason": "abort", "token_ids": []}]}),
        (Engine.SGLANG, {"meta_info": {"finish_reason": {"type": "abort", "message": "no"}}}),
    ],
)
async def test_an_aborted_request_is_a_failure_of_the_server(engine, body):
    async with (
        _server(engine, faults=[Fault(status=200, body=json.dumps(body))]) as server,
        _client(server, engine=engine) as client,
    ):
        with pytest.raises(ModelServerError, match="aborted"):
            await client.complete([1], SamplingParams())


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_prompt_that_is_too_long_has_its_own_error(engine):
    async with (
        _server(engine, "Hi.", max_model_len=4) as server,
        _client(server, engine=engine, context_length=100) as client,
    ):
        with pytest.raises(ContextLengthError, match="maximum context length"):
            await client.complete([1] * 8, SamplingParams())


@pytest.mark.parametrize("body", ["<html>hello</html>", '{"text": ["x"]}', "[]", '{"choices": []}'])
async def test_a_server_that_answers_something_else_there_is_not_taken_for_the_engine(body):
    async with (
        _server(Engine.SGLANG, "Hi.", faults=[Fault(status=200, body=body)]) as server,
        _client(server) as client,
    ):
        assert (await client.check()).transport.name == Engine.VLLM_COMPLETIONS


@pytest.mark.parametrize("engine", NATIVE)
async def test_a_server_that_fails_while_it_is_asked_is_no_choice(engine):
    faults = [Fault(status=500)] * 2
    async with (
        _server(engine, "x", faults=faults) as server,
        _client(server, attempts=2) as client,
    ):
        with pytest.raises(ModelServerError, match="after 2 attempts"):
            await client.check()
        assert (await client.check()).transport.name == engine  # asked again, now that it is up


async def test_an_engine_that_is_named_is_used_even_where_it_is_wrong():
    async with (
        _server(Engine.VLLM_COMPLETIONS, "x") as server,
        _client(server, engine="sglang") as client,
    ):
        with pytest.raises(ModelRequestError, match="404"):
            await client.probe()


def test_an_unknown_engine_is_refused_at_once():
    with pytest.raises(ValueError, match="tgi"):
        TokenClient(
            base_url="http://127.0.0.1:1/v1", model="toy", tokenizer=toy_tokenizer(), engine="tgi"
        )


def _tops(engine, value):
    if engine is Engine.SGLANG:
        meta = {"finish_reason": {"type": "length"}, "output_top_logprobs": [[[value, 5, None]]]}
        return json.dumps({"output_ids": [5], "meta_info": meta})
    tops = [{"token_id": 5, "logprob": value}]
    content = [{"token_id": 5, "logprob": value, "top_logprobs": tops}]
    return json.dumps({"choices": [{"token_ids": [5], "logprobs": {"content": content}}]})


@pytest.mark.parametrize("engine", NATIVE)
@pytest.mark.parametrize(
    ("values", "mode"),
    [((-0.5, -0.5), "raw"), ((-0.5, -0.1), "processed"), ((-1e-6, -1e-7), "unknown")],
)
async def test_the_logprobs_mode_is_detected_on_the_engines_own_wires(engine, values, mode):
    faults = [Fault(status=200, body=_tops(engine, value)) for value in values]
    kind = SglangGenerate if engine is Engine.SGLANG else VllmGenerate
    async with _server(engine, faults=faults) as server, _client(server) as client:
        assert await detect_logprobs_mode(kind(client.http, "toy"), [1]) == mode


async def test_top_p_on_sglang_is_reported_as_raw_and_warned_about(caplog):
    engine = Engine.SGLANG
    faults = [Fault(status=200, body=_tops(engine, value)) for value in (-0.5, -0.1)]
    async with (
        _server(engine, "Hi.<|im_end|>", "Hi.<|im_end|>", faults=faults) as server,
        _client(server, engine=engine) as client,
    ):
        hot = await AgentLoop(client, sampling=SamplingParams(temperature=0.7)).run(TASK)
        cut = await AgentLoop(client, sampling=SamplingParams(top_p=0.9)).run(TASK)
    assert (hot.ledger.logprobs, cut.ledger.logprobs) == ("processed", "raw")
    assert len([record for record in caplog.records if "top-p" in record.message]) == 1


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ([{"version": "3", "start": 0, "end": 2}, {"version": "4", "start": 2, "end": 5}], "3+4"),
        ([{"version": "3", "start": 0, "end": 2}], "3"),
        (None, None),
    ],
)
async def test_weights_that_change_on_the_way_are_both_named(told, version):
    choice = {"token_ids": [4], "logprobs": None, "weight_versions": told}
    body = json.dumps({"choices": [choice]})
    engine = Engine.VLLM_GENERATE
    async with (
        _server(engine, faults=[Fault(status=200, body=body)]) as server,
        _client(server, engine=engine) as client,
    ):
        completion = await client.complete([1], SamplingParams())
    assert completion.weight_version == version
