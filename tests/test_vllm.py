"""A stock vLLM serves the embedded model; both ways of speaking to it run GSM8K rollouts.

Needs an environment with vLLM: `tests/support/vllm_env.sh` makes one and prints the two variables
that these tests read.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from treadle_agent_loop import (
    AgentLoop,
    ChatClient,
    ChatTokenizer,
    RolloutResult,
    SamplingParams,
    Segment,
    TokenClient,
    python_tool,
)
from treadle_agent_loop.testing import HostWorkspace
from treadle_embedded import TRAINED_SYSTEM
from treadle_embedded.problems import generate

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ("--dtype", "float32", "--enforce-eager", "--max-model-len", "2048", "--enable-scale-out")
READY = 400
"""Seconds that vLLM may take on two busy cores."""


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


def group_members(group: int) -> list[int]:
    """Processes of a group that still run."""
    members: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            members.append(int(entry.name))
    return members


def engine_group(launcher: int) -> int:
    """The process group of the engine that a launcher started."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return os.getpgid(int(children[0]))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A vLLM started by `apps/serve_model`; checks at the end that a signal stops all of it."""
    python, model = (os.environ.get(f"TREADLE_VLLM_{name}") for name in ("PYTHON", "MODEL"))
    if not python or not model:
        pytest.skip("TREADLE_VLLM_PYTHON and TREADLE_VLLM_MODEL aren't set: no vLLM to test with")
    log = tmp_path_factory.mktemp("vllm") / "engine.log"
    command = [sys.executable, str(ROOT / "apps" / "serve_model"), model, "--engine-python", python]
    command += ["--port", "0", "--log", str(log), "--timeout", str(READY), "--", *FLAGS]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as launcher:
        try:
            settings = read_settings(launcher)
            group = engine_group(launcher.pid)
            yield settings
        finally:
            launcher.send_signal(signal.SIGTERM)
            code = launcher.wait(timeout=60)
    assert code == 0
    assert group_members(group) == []


@pytest.fixture(scope="session")
def tokenizer(served: dict[str, str]) -> ChatTokenizer:
    return ChatTokenizer.load(served["ATROPOS_TOKENIZER_NAME"])


def conversation(question: str) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": TRAINED_SYSTEM},
        {"role": "user", "content": question},
    ]


async def roll(client: Any, count: int, sampling: SamplingParams) -> list[RolloutResult]:
    """Play `count` problems at once."""
    loop = AgentLoop(client, [python_tool], sampling=sampling)

    async def play(question: str) -> RolloutResult:
        async with HostWorkspace() as workspace:
            return await loop.run(conversation(question), workspace)

    problems = generate(count, 11)
    return await asyncio.gather(*(play(problem.question) for problem in problems))


async def scored(client: TokenClient, segment: Segment, temperature: float) -> list[float]:
    """The logprobs that the engine gives a segment's trained ids when it reads them as a prompt."""
    payload = {
        "model": client.model,
        "prompt": list(segment.tokens),
        "max_tokens": 1,
        "temperature": temperature,
        "prompt_logprobs": 0,
    }
    answer = await client.http.post("/completions", payload)
    entries: Sequence[dict[str, Any] | None] = answer["choices"][0]["prompt_logprobs"]
    return [
        (entries[place] or {})[str(token)]["logprob"]
        for place, (token, mask) in enumerate(zip(segment.tokens, segment.masks, strict=True))
        if mask != -100
    ]


@pytest.mark.parametrize("engine", ["vllm-completions", "vllm-generate"])
def test_ledger_logprobs_are_those_the_engine_gives_the_same_ids(
    served: dict[str, str], tokenizer: ChatTokenizer, engine: str
) -> None:
    async def run() -> None:
        async with TokenClient(
            base_url=served["ATROPOS_SERVER_BASE_URL"],
            model=served["ATROPOS_SERVER_MODEL"],
            tokenizer=tokenizer,
            engine=engine,
        ) as client:
            results = await roll(client, 8, SamplingParams(max_tokens=200))
            differences: list[float] = []
            least = 0.0
            for result in results:
                assert result.ledger.sampled == result.ledger.trained > 0
                for segment in result.segments:
                    kept = [
                        value
                        for value, mask in zip(segment.logprobs, segment.masks, strict=True)
                        if mask != -100
                    ]
                    read = await scored(client, segment, 1.0)
                    differences += [abs(a - b) for a, b in zip(kept, read, strict=True)]
                    least = min(least, *kept)
            assert max(differences) < 1e-3
            assert least < -0.5, "nothing but certain tokens proves little"
            assert sum(bool(result.tool_records) for result in results) >= 7

    asyncio.run(run())


class RecordingProxy:
    """Forwards everything to a server and keeps what went through."""

    def __init__(self, target: str) -> None:
        self.target = target.removesuffix("/v1")
        self.exchanges: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.base_url = ""

    async def __aenter__(self) -> "RecordingProxy":
        self._session = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"Content-Type": "application/json"}
        async with self._session.request(
            request.method, self.target + request.path, data=body, headers=headers
        ) as answer:
            told = await answer.read()
            if body and answer.status == 200:
                self.exchanges.append((json.loads(body), json.loads(told)))
            return web.Response(status=answer.status, body=told, content_type="application/json")


@pytest.mark.parametrize("engine", ["vllm-completions", "vllm-generate"])
def test_the_prompt_ids_of_every_call_are_those_that_the_engine_echoes(
    served: dict[str, str], tokenizer: ChatTokenizer, engine: str
) -> None:
    async def run() -> None:
        async with (
            RecordingProxy(served["ATROPOS_SERVER_BASE_URL"]) as proxy,
            TokenClient(
                base_url=proxy.base_url,
                model=served["ATROPOS_SERVER_MODEL"],
                tokenizer=tokenizer,
                engine=engine,
            ) as client,
        ):
            results = await roll(client, 6, SamplingParams(max_tokens=200))
        assert len(proxy.exchanges) == sum(result.turns for result in results) > 6
        for sent, told in proxy.exchanges:
            echoed = told.get("prompt_token_ids") or told["choices"][0]["prompt_token_ids"]
            assert echoed == sent.get("prompt", sent.get("token_ids"))

    asyncio.run(run())


def test_the_engines_own_wire_is_chosen_and_processed_logprobs_are_recognised(
    served: dict[str, str], tokenizer: ChatTokenizer
) -> None:
    async def run() -> None:
        async with TokenClient(
            base_url=served["ATROPOS_SERVER_BASE_URL"],
            model=served["ATROPOS_SERVER_MODEL"],
            tokenizer=tokenizer,
        ) as client:
            facts = await client.check()
            assert facts.transport.name == "vllm-generate"
            assert facts.context_length == 2048
            assert await client.logprobs_mode(SamplingParams(temperature=0.5)) == "processed"
            results = await roll(client, 2, SamplingParams(temperature=0.5, max_tokens=200))
            assert {result.ledger.logprobs for result in results} == {"processed"}

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_chat_rollouts_solve_problems_with_calls_that_vllm_parsed(
    served: dict[str, str], stream: bool
) -> None:
    async def run() -> None:
        async with ChatClient(
            base_url=served["ATROPOS_SERVER_BASE_URL"],
            model=served["ATROPOS_SERVER_MODEL"],
            stream=stream,
        ) as client:
            results = await roll(client, 6, SamplingParams(temperature=0.0, max_tokens=200))
        assert sum(bool(result.tool_records) for result in results) >= 5
        assert all(result.usage.completion_tokens > 10 for result in results)
        answers = [str(problem.result) for problem in generate(6, 11)]
        right = [
            answer in result.final_text for answer, result in zip(answers, results, strict=True)
        ]
        assert sum(right) >= 4

    asyncio.run(run())


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("phase", [1, 2])
def test_the_app_runs_gsm8k_groups_against_vllm(
    served: dict[str, str], run_app: Callable[..., Any], tmp_path: Path, phase: int
) -> None:
    data, out = tmp_path / "problems.jsonl", tmp_path / "out"
    command = [sys.executable, "-m", "treadle_embedded.problems"]
    subprocess.run([*command, "--count", "50", "--seed", "9", "--out", str(data)], check=True)
    settings = dict(served)
    if phase == 1:
        del settings["ATROPOS_TOKENIZER_NAME"]
    flags = ("--data", str(data), "process", "--groups", "2", "--out", str(out))
    done = run_app(*flags, env=settings, timeout=200)
    assert done.code == 0, done.err
    rollouts = read_lines(out / "rollouts.jsonl")
    assert sum(bool(row["tool_calls"]) for row in rollouts) >= 0.9 * len(rollouts)
    assert sum(row["reward"] for row in rollouts) / len(rollouts) >= 0.6
    assert all(bool(row["segments"]) == (phase == 2) for row in rollouts)
    if phase == 2:
        assert len(read_lines(out / "groups.jsonl")) == 2
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        assert summary["sampled_tokens"] == summary["trained_tokens"] + sum(
            summary["dropped_tokens"].values()
        )
        name = served["ATROPOS_TOKENIZER_NAME"]
        verify = [sys.executable, "-m", "treadle_agent_loop", "verify", str(out / "rollouts.jsonl")]
        proof = subprocess.run(
            [*verify, "--tokenizer", name], capture_output=True, text=True, check=False
        )
        assert proof.returncode == 0, proof.stdout + proof.stderr
