"""A stock SGLang serves the embedded model on a CPU; both ways of speaking to it run rollouts.

SGLang's own HTTP server, scheduler and sampler run; only its GPU kernels are absent (see
`support/sglang_cpu`). `tests/support/sglang_env.sh` makes the environment and prints the variables
that these tests read.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from treadle_agent_loop import (
    AgentLoop,
    ChatClient,
    ChatTokenizer,
    ContextLengthError,
    RolloutResult,
    SamplingParams,
    TokenClient,
    python_tool,
)
from treadle_agent_loop.testing import HostWorkspace
from treadle_embedded import TRAINED_SYSTEM
from treadle_embedded.problems import generate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

APP = Path(__file__).resolve().parent.parent / "apps" / "serve_model"
FLAGS = (
    *("--device", "cpu", "--attention-backend", "torch_native", "--dtype", "float32"),
    *("--context-length", "2048", "--max-total-tokens", "16384"),
)


def read_settings(process: "subprocess.Popen[str]") -> dict[str, str]:
    """The variables that the launcher prints once the server is ready."""
    assert process.stdout is not None
    settings: dict[str, str] = {}
    for line in process.stdout:
        name, equals, value = line.strip().partition("=")
        if equals:
            settings[name] = value
        if name == "ATROPOS_TOKENIZER_NAME":
            return settings
    raise AssertionError(f"the launcher ended with status {process.wait()}")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A SGLang started by `apps/serve_model`; checks at the end that a signal stops it."""
    names = [f"TREADLE_SGLANG_{name}" for name in ("PYTHON", "PATH", "MODEL")]
    python, path, model = (os.environ.get(name) for name in names)
    if not (python and path and model):
        pytest.skip(f"{', '.join(names)} aren't all set: no SGLang to test with")
    log = tmp_path_factory.mktemp("sglang") / "engine.log"
    command = [sys.executable, str(APP), model, "--engine", "sglang", "--engine-python", python]
    command += ["--port", "0", "--log", str(log), "--timeout", "400", "--", *FLAGS]
    environment = os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as launcher:
        try:
            yield read_settings(launcher)
        finally:
            launcher.send_signal(signal.SIGTERM)
            code = launcher.wait(timeout=60)
    assert code == 0


@pytest.fixture(scope="session")
def tokenizer(served: dict[str, str]) -> ChatTokenizer:
    return ChatTokenizer.load(served["ATROPOS_TOKENIZER_NAME"])


def token_client(served: dict[str, str], tokenizer: ChatTokenizer) -> TokenClient:
    url, model = served["ATROPOS_SERVER_BASE_URL"], served["ATROPOS_SERVER_MODEL"]
    return TokenClient(base_url=url, model=model, tokenizer=tokenizer)


async def roll(client: Any, count: int, sampling: SamplingParams) -> list[RolloutResult]:
    """Play `count` problems at once."""
    loop = AgentLoop(client, [python_tool], sampling=sampling)

    async def play(question: str) -> RolloutResult:
        messages = [
            {"role": "system", "content": TRAINED_SYSTEM},
            {"role": "user", "content": question},
        ]
        async with HostWorkspace() as workspace:
            return await loop.run(messages, workspace)

    problems = generate(count, 11)
    return await asyncio.gather(*(play(problem.question) for problem in problems))


async def scored(client: TokenClient, tokens: tuple[int, ...]) -> list[tuple[float | None, int]]:
    """The logprobs and ids that SGLang tells when it reads a sequence as a prompt."""
    payload = {
        "input_ids": list(tokens),
        "sampling_params": {"max_new_tokens": 1},
        "return_logprob": True,
        "logprob_start_len": 0,
    }
    answer = await client.http.post("/generate", payload, at_root=True)
    return [(entry[0], entry[1]) for entry in answer["meta_info"]["input_token_logprobs"]]


def test_ledger_logprobs_are_those_the_engine_gives_the_same_ids(
    served: dict[str, str], tokenizer: ChatTokenizer
) -> None:
    async def run() -> None:
        async with token_client(served, tokenizer) as client:
            results = await roll(client, 8, SamplingParams(max_tokens=200, seed=3))
            differences: list[float] = []
            least = 0.0
            for result in results:
                assert result.ledger.sampled == result.ledger.trained > 0
                for segment in result.segments:
                    read = await scored(client, segment.tokens)
                    assert [token for _, token in read] == list(segment.tokens)
                    for (value, _), kept, mask in zip(
                        read, segment.logprobs, segment.masks, strict=True
                    ):
                        if mask != -100:
                            assert value is not None
                            differences.append(abs(value - kept))
                            least = min(least, kept)
            assert max(differences) < 1e-3
            assert least < -0.5, "nothing but certain tokens proves little"
            assert sum(bool(result.tool_records) for result in results) >= 7

    asyncio.run(run())


def test_the_engines_own_wire_is_chosen_and_it_echoes_the_prompt(
    served: dict[str, str], tokenizer: ChatTokenizer
) -> None:
    async def run() -> None:
        async with token_client(served, tokenizer) as client:
            facts = await client.check()
            assert (facts.transport.name, facts.context_length) == ("sglang", 2048)
            payload = {
                "input_ids": [5, 6, 7],
                "sampling_params": {"max_new_tokens": 2},
                "return_prompt_token_ids": True,
            }
            answer = await client.http.post("/generate", payload, at_root=True)
            assert answer["prompt_token_ids"] == [5, 6, 7]
            assert await client.logprobs_mode(SamplingParams(temperature=0.5)) == "processed"
            assert await client.logprobs_mode(SamplingParams(top_p=0.5)) == "raw"

    asyncio.run(run())


def test_stops_limits_and_refusals_come_as_the_client_expects_them(
    served: dict[str, str], tokenizer: ChatTokenizer
) -> None:
    async def run() -> None:
        async with token_client(served, tokenizer) as client:
            greedy = SamplingParams(temperature=0.0, max_tokens=6)
            cut = await client.complete([5] * 30, greedy)
            assert (cut.length_stop, len(cut.ids)) == (True, 6)
            assert cut.logprobs is not None
            stop = SamplingParams(temperature=0.0, max_tokens=6, stop_token_ids=(cut.ids[1],))
            stopped = await client.complete([5] * 30, stop)
            end = cut.ids.index(cut.ids[1]) + 1
            assert (stopped.length_stop, stopped.ids) == (False, cut.ids[:end])
            with pytest.raises(ContextLengthError, match="context length"):
                await client.complete([5] * 3000, greedy)

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_chat_rollouts_solve_problems_with_calls_that_sglang_parsed(
    served: dict[str, str], stream: bool
) -> None:
    async def run() -> None:
        url, model = served["ATROPOS_SERVER_BASE_URL"], served["ATROPOS_SERVER_MODEL"]
        async with ChatClient(base_url=url, model=model, stream=stream) as client:
            results = await roll(client, 4, SamplingParams(temperature=0.0, max_tokens=200))
        assert sum(bool(result.tool_records) for result in results) >= 3
        answers = [str(problem.result) for problem in generate(4, 11)]
        right = [
            answer in result.final_text for answer, result in zip(answers, results, strict=True)
        ]
        assert sum(right) >= 3

    asyncio.run(run())
