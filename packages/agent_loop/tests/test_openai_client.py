import pytest

from treadle_agent_loop import (
    AgentLoop,
    ContextLengthError,
    ModelRequestError,
    ModelServerError,
    ModelTimeoutError,
    SamplingParams,
    python_tool,
)
from treadle_agent_loop.openai_client import OpenAIClient
from treadle_agent_loop.testing import Fault, HostWorkspace, ScriptedTurn, ToyServer, call

openai = pytest.importorskip("openai", reason="the openai extra isn't installed")

TASK = [{"role": "user", "content": "What is 6 * 7?"}]


def _chat(messages):
    if messages[-1]["role"] == "tool":
        return ScriptedTurn(content=f"It is {messages[-1]['content']}.")
    return ScriptedTurn(calls=(call("python", code="print(6 * 7)"),), reasoning="Multiply.")


def _client(server, **options):
    sdk = openai.AsyncOpenAI(
        base_url=server.base_url, api_key="none", max_retries=0, timeout=options.pop("timeout", 30)
    )
    return OpenAIClient(sdk, model="toy", **options)


async def test_a_rollout_with_tools_runs_over_the_openai_package():
    async with (
        ToyServer(chat=_chat) as server,
        _client(server, extra_body={"chat_template_kwargs": {"enable_thinking": True}}) as client,
        HostWorkspace() as place,
    ):
        sampling = SamplingParams(seed=7, stop=("###",), temperature=0.5)
        result = await AgentLoop(client, [python_tool], sampling=sampling).run(TASK, place)
    assert result.final_text == "It is 42."
    assert result.messages[1]["reasoning_content"] == "Multiply."
    assert result.usage.completion_tokens == 10
    first, second = server.requests
    assert first["tools"] == [python_tool.schema]
    assert first["chat_template_kwargs"] == {"enable_thinking": True}
    assert first["seed"] != second["seed"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=503), ModelServerError),
        (Fault(status=429), ModelServerError),
        (Fault(drop=True), ModelServerError),
        (Fault(status=400), ModelRequestError),
        (
            Fault(status=400, body='{"error": {"message": "maximum context length is 8"}}'),
            ContextLengthError,
        ),
        (Fault(hang=True), ModelTimeoutError),
    ],
    ids=["503", "429", "dropped", "400", "too-long", "stalled"],
)
async def test_failures_have_the_errors_of_the_other_clients(fault, error):
    async with (
        ToyServer(chat=_chat, faults=[fault]) as server,
        _client(server, timeout=1) as client,
    ):
        with pytest.raises(error) as caught:
            await client.session().complete(TASK, (), SamplingParams())
    assert isinstance(caught.value.__cause__, openai.OpenAIError)


async def test_closing_twice_is_fine():
    async with ToyServer(chat=_chat) as server:
        client = _client(server)
        await client.aclose()
        await client.aclose()
        assert client.client.is_closed()
