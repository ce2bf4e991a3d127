"""Against a server process that dies, stalls, refuses and stops at any byte: rollouts end well, or
with an error of their own kind, and leave nothing behind.
"""

import asyncio
import itertools
import json
import signal
import sys
from collections.abc import Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from treadle_agent_loop import (
    AgentLoop,
    AgentLoopError,
    ChatClient,
    ModelServerError,
    ModelTimeoutError,
    StopReason,
    TokenClient,
    ToolOutcome,
    Workspace,
    tool,
)
from treadle_agent_loop.testing import HostWorkspace
from treadle_agent_loop.testing.tokenizers import toy_tokenizer

SCRIPT = Path(__file__).with_name("misbehaving_server.py")
TASK = [{"role": "user", "content": "Add."}]
TURNS = 4
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call><|im_end|>'


@tool
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


class Served:
    """The server's process, as a test sees it."""

    def __init__(self, options):
        self.options = {"port": 0, "turns": TURNS, **options}
        self.process = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, SCRIPT, json.dumps(self.options), stdout=asyncio.subprocess.PIPE
        )
        self.options["port"] = int(await self.process.stdout.readline())
        self.base_url = f"http://127.0.0.1:{self.options['port']}/v1"

    async def kill(self):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.communicate()

    async def statistics(self):
        root = self.base_url.removesuffix("/v1")
        async with aiohttp.ClientSession() as session, session.get(f"{root}/statistics") as answer:
            return await answer.json()

    async def wait_connections(self, count):
        async with asyncio.timeout(10):
            while (await self.statistics())["connections"] != count:
                pass

    async def wait_requests(self, count):
        async with asyncio.timeout(20):
            while (await self.statistics())["requests"] < count:
                pass


@asynccontextmanager
async def serving(*plan, **options):
    served = Served({"plan": plan, **options})
    await served.start()
    try:
        yield served
    finally:
        await served.kill()


def open_sockets():
    """Return the sockets that this process holds."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except OSError:
            continue
    return {entry for entry in found if "socket:" in entry}


@asynccontextmanager
async def nothing_left(served):
    """Make sure that the block leaves no task, no socket and no connection on the server."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    yield
    assert asyncio.all_tasks() == tasks
    if served.process.returncode is None:
        await served.wait_connections(0)
    assert open_sockets() <= sockets


chat = partial(ChatClient, model="toy", backoff=0.01)


def exact(**options):
    tokenizer = toy_tokenizer()
    return TokenClient(
        model="toy", tokenizer=tokenizer, engine="vllm-completions", backoff=0.01, **options
    )


def serving_tokens(*plan, **options):
    tokenizer = toy_tokenizer()
    ids = {
        "call_ids": list(tokenizer.encode(CALL)),
        "done_ids": list(tokenizer.encode("done<|im_end|>")),
    }
    return serving(*plan, **ids, **options)


BOTH = pytest.mark.parametrize(
    ("make", "serve"), [(chat, serving), (exact, serving_tokens)], ids=["chat", "tokens"]
)


def is_whole(result):
    """Whether a rollout has every turn, every reply once, and every sampled id accounted for."""
    names = [message["role"] for message in result.messages]
    ledger = result.ledger
    return (
        result.stop_reason is StopReason.FINISHED
        and names == ["user", *["assistant", "tool"] * TURNS, "assistant"]
        and all(
            record.outcome is ToolOutcome.OK and record.result == "3"
            for record in result.tool_records
        )
        and ledger.sampled == ledger.trained + sum(ledger.dropped.values())
    )


async def run_many(client, count, **options):
    loop = AgentLoop(client, [add], max_turns=TURNS + 1, **options)
    runs = [asyncio.create_task(loop.run(TASK)) for _ in range(count)]
    return await asyncio.gather(*runs, return_exceptions=True)


@BOTH
async def test_a_server_that_is_killed_and_restarted_costs_no_rollout(make, serve):
    async with (
        serve(latency=0.03) as served,
        nothing_left(served),
        make(base_url=served.base_url, attempts=12) as client,
    ):
        runs = asyncio.create_task(run_many(client, 24))
        await served.wait_requests(40)
        await served.kill()
        while client.statistics().retries < 5:  # noqa: ASYNC110 - counters notify nobody
            await asyncio.sleep(0)
        await served.start()
        results = await runs
        assert all(is_whole(result) for result in results), results
        assert client.statistics().in_flight == 0


@BOTH
async def test_a_server_that_stays_dead_fails_every_rollout_as_infrastructure(make, serve):
    async with (
        serve(latency=0.02) as served,
        nothing_left(served),
        make(base_url=served.base_url, attempts=2) as client,
    ):
        runs = asyncio.create_task(run_many(client, 8))
        await served.wait_requests(12)
        await served.kill()
        results = await runs
        assert [type(result) for result in results] == [ModelServerError] * 8
        assert all("after 2 attempts" in str(result) for result in results)
        assert client.statistics().in_flight == 0


@BOTH
@pytest.mark.parametrize("pause", ["", " 0.1", " 0"], ids=["bare", "retry-after", "at-once"])
async def test_a_storm_of_429_costs_no_rollout(make, serve, pause):
    storm = [f"429{pause}"] * 100
    async with (
        serve(*storm, latency=0.01) as served,
        nothing_left(served),
        make(base_url=served.base_url, attempts=20, concurrency=16) as client,
    ):
        results = await run_many(client, 32)
        assert all(is_whole(result) for result in results), results
        told = client.statistics()
        assert (told.overloads, told.in_flight) == (100, 0)


async def test_a_storm_that_never_ends_is_an_error_with_its_status():
    async with (
        serving(always="429 0.01") as served,
        nothing_left(served),
        chat(base_url=served.base_url, attempts=2) as client,
    ):
        results = await run_many(client, 8)
        assert {result.status for result in results} == {429}
        assert all(isinstance(result, ModelServerError) for result in results)


HALVES = ["nothing", "half-head", "half-body", "half-chunk"]
BROKEN = [*HALVES, "no-http", *(f"{half} reset" for half in HALVES)]


@BOTH
async def test_answers_that_stop_at_any_place_are_asked_for_again(make, serve):
    async with (
        serve(*BROKEN) as served,
        nothing_left(served),
        make(base_url=served.base_url, attempts=len(BROKEN) + 1) as client,
    ):
        results = await run_many(client, 3)
        assert all(is_whole(result) for result in results), results
        # A reset of a connection that was reused may be noticed before the request is sent.
        assert 0 < client.statistics().retries <= len(BROKEN)


async def test_a_server_that_never_finishes_an_answer_is_an_error_with_its_cause():
    plan = [fault for fault in BROKEN for _ in range(2)]
    async with serving(*plan) as served, nothing_left(served):
        for fault in BROKEN:
            async with chat(base_url=served.base_url, attempts=2) as client:
                (error,) = await run_many(client, 1)
                assert type(error) is ModelServerError, fault
                assert isinstance(error.__cause__, aiohttp.ClientError), fault


@pytest.mark.parametrize("half", HALVES)
async def test_a_stall_anywhere_ends_at_the_request_limit(half):
    async with (
        serving(always=f"{half} stall") as served,
        nothing_left(served),
        chat(base_url=served.base_url, timeout=0.2) as client,
    ):
        results = await run_many(client, 4)
        assert [type(result) for result in results] == [ModelTimeoutError] * 4
        assert client.statistics().in_flight == 0
        assert (await served.statistics())["requests"] == 4


@pytest.mark.parametrize("half", HALVES)
async def test_a_stall_anywhere_ends_at_the_rollout_limit(half):
    async with (
        serving("ok", "ok", always=f"{half} stall") as served,
        nothing_left(served),
        chat(base_url=served.base_url) as client,
    ):
        (result,) = await run_many(client, 1, rollout_timeout=0.5)
        assert result.stop_reason is StopReason.TIMEOUT
        assert (result.turns, len(result.tool_records)) == (2, 2)
        assert client.statistics().in_flight == 0


BODIES = [
    "body ",
    "body {",
    "body nonsense",
    "body []",
    "body null",
    "body {}",
    'body {"choices": null}',
    'body {"choices": {}}',
    'body {"choices": "x"}',
    'body {"choices": [null]}',
    'body {"choices": [[]]}',
    'body {"choices": [{"message": "x"}]}',
    'body {"choices": [{"message": {"content": 7}}]}',
    'body {"choices": [{"message": {"content": [7, null]}}]}',
    'body {"choices": [{"message": {"tool_calls": 7}}]}',
    'body {"choices": [{"message": {"tool_calls": [7]}}]}',
    'body {"choices": [{"message": {"tool_calls": [{"function": 7}]}}]}',
    'body {"choices": [{"message": {}}], "usage": 7}',
    'body {"choices": [{"message": {}}], "usage": {"prompt_tokens": "many"}}',
    'body {"choices": [{"token_ids": ["x"]}]}',
    'body {"choices": [{"token_ids": [-1]}]}',
    'body {"choices": [{"token_ids": [99999999999999999999]}]}',
    'body {"choices": [{"token_ids": [5], "logprobs": 7}]}',
    'body {"choices": [{"token_ids": [5], "prompt_token_ids": 7}]}',
    'body {"choices": [{"token_ids": [5], "weight_versions": [7]}]}',
    'body {"choices": [{"token_ids": true}]}',
    "nested",
    "bytes",
]


@BOTH
async def test_an_answer_of_any_other_shape_is_never_an_accident(make, serve):
    """It is read as far as it goes, or an error of this package; nothing else escapes."""
    async with serve(*BODIES) as served, nothing_left(served):
        for body in BODIES:
            async with make(base_url=served.base_url, attempts=1) as client:
                (result,) = await run_many(client, 1)
                if isinstance(result, Exception):
                    assert isinstance(result, AgentLoopError), body
                else:
                    assert isinstance(result.usage.prompt_tokens, int), body
                assert client.statistics().in_flight == 0
        assert (await served.statistics())["requests"] == len(BODIES)


async def test_a_connection_that_the_server_closed_while_idle_is_replaced():
    async with (
        serving() as served,
        nothing_left(served),
        chat(base_url=served.base_url, attempts=2) as client,
    ):
        (first,) = await run_many(client, 1)
        await served.kill()
        await served.start()
        (second,) = await run_many(client, 1)
        assert is_whole(first)
        assert is_whole(second)


@tool(name="add")
async def add_by_command(workspace: Workspace, a: int, b: int) -> str:
    """Add two numbers."""
    result = await workspace.exec(["sh", "-c", f"echo $(({a} + {b}))"])
    return result.stdout.decode().strip()


class Stepped(Coroutine):
    """A coroutine that calls `step` at each place where it waits."""

    def __init__(self, coroutine, step):
        self.coroutine, self.step = coroutine, step

    def send(self, value):
        waits = self.coroutine.send(value)
        self.step()
        return waits

    def throw(self, *error):
        waits = self.coroutine.throw(*error)
        self.step()
        return waits

    def close(self):
        self.coroutine.close()

    def __await__(self):
        return self.coroutine.__await__()


async def interrupted(job, place):
    """Run a job, cancel it when it or a task of it waits for the `place`th time; tell if it was."""
    loop, count = asyncio.get_running_loop(), itertools.count(1)

    def step():
        if next(count) == place:
            root.cancel()

    loop.set_task_factory(
        lambda loop, coroutine, **options: asyncio.Task(
            Stepped(coroutine, step), loop=loop, **options
        )
    )
    try:
        root = asyncio.create_task(job())
        async with asyncio.timeout(20):
            await asyncio.wait([root])
    finally:
        loop.set_task_factory(None)
    if next(count) > place:
        assert root.cancelled(), f"the cancellation at place {place} was lost"
        return True
    assert is_whole(root.result())
    return False


async def interrupt_everywhere(job, *, every, check):
    """Interrupt a job at one place after another until it ends before; returns the places."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    for place in itertools.count(1, every):
        cancelled = await interrupted(job, place)
        assert asyncio.all_tasks() == tasks
        assert open_sockets() <= sockets
        check()
        if not cancelled:
            return place
    return 0


@BOTH
async def test_cancelling_at_every_await_leaves_no_task_socket_place_or_process(make, serve):
    clients = []

    async with serve() as served, HostWorkspace() as workspace:

        async def job():
            async with make(base_url=served.base_url) as client:
                clients.append(client)
                return await AgentLoop(client, [add_by_command]).run(TASK, workspace)

        def check():
            assert clients[-1].statistics().in_flight == 0
            assert workspace.running == 0

        assert await interrupt_everywhere(job, every=1, check=check) > 40
        await served.wait_connections(0)


@pytest.mark.slow
async def test_cancelling_at_every_third_await_gives_the_sandbox_back():
    sandbox = pytest.importorskip("treadle_sandbox", reason="treadle-sandbox isn't here")
    async with (
        serving() as served,
        sandbox.LocalBackend(slots=1, min_isolation="auto") as backend,
    ):

        async def job():
            async with chat(base_url=served.base_url) as client, await backend.lease() as lease:
                return await AgentLoop(client, [add_by_command]).run(TASK, lease)

        def check():
            told = backend.statistics()
            assert (told.leased, told.running, told.quarantined, told.waiting) == (0, 0, 0, 0)

        assert await interrupt_everywhere(job, every=3, check=check) > 20
        await served.wait_connections(0)


@BOTH
@pytest.mark.slow
async def test_a_hundred_rollouts_at_once_end_whole_over_few_connections(make, serve):
    async with (
        serve(latency=0.01) as served,
        nothing_left(served),
        make(base_url=served.base_url, concurrency=16) as client,
    ):
        results = await run_many(client, 100)
        assert all(is_whole(result) for result in results)
        assert (await served.statistics())["connections"] <= 16
        told = client.statistics()
        assert (told.retries, told.in_flight) == (0, 0)
