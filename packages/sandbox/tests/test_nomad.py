"""Nomad through its real client: a stand-in agent starts each job's real command line."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from treadle_sandbox import (
    ConfigError,
    IsolationUnavailableError,
    LocalBackend,
    ServerError,
    ServerStartError,
    UnauthorizedError,
)
from treadle_sandbox.config import NomadConfig
from treadle_sandbox.nomad import NomadProvider
from treadle_sandbox.nomad.job import build_job
from treadle_sandbox.nomad.reasons import allocation_problem, placement_problem
from treadle_sandbox.pool import Provider
from treadle_sandbox.remote import RemoteBackend
from treadle_sandbox.testing import CHECKS, ISOLATION_CHECKS, run_check
from treadle_sandbox.testing.fake_nomad import FakeNomad

TOKEN = "a-token-that-nobody-sees"
APPTAINER = {"driver": "singularity", "singularity_image": "/images/treadle.sif"}


@pytest.fixture(scope="module", autouse=True)
def isolation() -> None:
    async def probe() -> None:
        async with LocalBackend(slots=1):
            pass

    try:
        asyncio.run(probe())
    except IsolationUnavailableError as error:
        pytest.skip(str(error))


def read_process(number: int) -> bytes:
    folder = Path(f"/proc/{number}")
    return (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()


@asynccontextmanager
async def cluster(**changes):
    async with FakeNomad() as agent:
        config = NomadConfig(
            address=agent.url,
            name="test",
            slots_per_container=4,
            start_timeout=30,
            restart_attempts=1,
            restart_delay=0.2,
        )
        provider = NomadProvider(replace(config, **changes))
        try:
            await provider.start()
            yield agent, provider
        finally:
            await provider.aclose()


async def until_healthy(address) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                async with RemoteBackend(address.url, token=address.token) as remote:
                    await remote.health()
                    return
            except ServerError:
                await asyncio.to_thread(os.sched_yield)


@pytest.fixture(scope="module", params=["docker", "singularity"])
def remote(request) -> Iterator[tuple[asyncio.Runner, RemoteBackend]]:
    changes = APPTAINER if request.param == "singularity" else {}
    with asyncio.Runner() as runner:
        site = cluster(**changes)
        _, provider = runner.run(site.__aenter__())
        address = runner.run(provider.create("test-1", TOKEN))
        runner.run(until_healthy(address))
        backend = RemoteBackend(address.url, token=TOKEN)
        runner.run(backend.__aenter__())
        yield runner, backend
        runner.run(backend.aclose())
        runner.run(site.__aexit__(None, None, None))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(remote, check):
    runner, backend = remote
    runner.run(run_check(check, backend))


@pytest.mark.parametrize("check", ISOLATION_CHECKS, ids=lambda check: check.__name__)
def test_confines(remote, check):
    runner, backend = remote
    runner.run(run_check(check, backend))


async def lifecycle(driver) -> None:
    async with cluster(**driver) as (agent, provider):
        assert isinstance(provider, Provider)
        first = await provider.create("test-1", TOKEN)
        second = await provider.create("test-2", TOKEN + "2")
        assert first.url != second.url
        await until_healthy(first)
        await until_healthy(second)
        assert await provider.find() == ("test-1", "test-2")
        assert await provider.failure("test-1") is None
        processes = [each.process for [each] in agent.cluster.allocations.values()]
        await provider.remove("test-1")
        await provider.remove("test-1")
        assert await provider.find() == ("test-2",)
        assert await provider.address("test-1", TOKEN) is None
        assert "no job" in str(await provider.failure("test-1"))
        async with asyncio.timeout(20):
            await processes[0].wait()
        assert processes[1].returncode is None
        await until_healthy(second)
        assert list(agent.cluster.variables) == ["nomad/jobs/test-2"]


@pytest.mark.parametrize("driver", [{}, APPTAINER], ids=["docker", "singularity"])
def test_servers_come_and_go_one_by_one(driver):
    asyncio.run(lifecycle(driver))


def test_a_new_driver_takes_servers_over():
    async def claim() -> None:
        async with cluster() as (agent, provider):
            made = await provider.create("test-1", TOKEN)
            other = NomadProvider(NomadConfig(address=agent.url, name="test"))
            try:
                assert await other.find() == ("test-1",)
                assert await other.address("test-1", TOKEN) == made
            finally:
                await other.aclose()
            stranger = NomadProvider(NomadConfig(address=agent.url, name="te"))
            try:
                assert await stranger.find() == ()
            finally:
                await stranger.aclose()

    asyncio.run(claim())


def test_the_token_is_in_no_job_and_no_command_line():
    async def claim() -> None:
        for driver in ({}, APPTAINER):
            async with cluster(**driver) as (agent, provider):
                address = await provider.create("test-1", TOKEN)
                await until_healthy(address)
                assert TOKEN not in str(agent.cluster.registered)
                [[allocation]] = agent.cluster.allocations.values()
                shown = await asyncio.to_thread(read_process, allocation.process.pid)
                assert b"serve" in shown
                assert TOKEN.encode() not in shown

    asyncio.run(claim())


def test_a_job_asks_for_the_configured_resources_and_policies():
    config = NomadConfig(name="p", cpu=700, memory=900, restart_attempts=5, job_id="jobs")
    job = build_job(config, "p-1")
    group = job["TaskGroups"][0]
    assert job["ID"] == "jobs-p-1"
    assert job["Meta"] == {"treadle_pool": "p", "treadle_server": "p-1"}
    assert group["Tasks"][0]["Resources"] == {"CPU": 700, "MemoryMB": 900}
    assert group["RestartPolicy"]["Attempts"] == 5
    assert group["ReschedulePolicy"] == {"Attempts": 0, "Unlimited": False}
    assert NomadConfig().cpu == 500
    assert NomadConfig().memory == 512
    other = build_job(replace(config, driver="singularity", singularity_image="/a.sif"), "p-1")
    task = other["TaskGroups"][0]["Tasks"][0]
    assert task["Driver"] == "raw_exec"
    assert "${NOMAD_PORT_http}" in task["Config"]["args"]


def test_an_image_that_can_not_be_pulled_fails_fast_with_a_hint():
    async def claim() -> None:
        async with cluster(restart_delay=60.0) as (agent, provider):
            agent.faults.missing_images.add("treadle-sandbox:local")
            with pytest.raises(ServerStartError, match=r"manifest.*build or push the image"):
                async with asyncio.timeout(15):
                    await provider.create("test-1", TOKEN)
            assert agent.cluster.jobs == {}
            assert agent.cluster.variables == {}

    asyncio.run(claim())


def test_a_job_that_no_node_takes_says_why():
    async def claim() -> None:
        async with cluster() as (agent, provider):
            agent.faults.memory = 100
            with pytest.raises(ServerStartError, match=r"exhausted memory on 1 node.*lower"):
                await provider.create("test-1", TOKEN)
            agent.faults.memory = 10_000
            agent.faults.no_driver = True
            with pytest.raises(ServerStartError, match="enable the driver"):
                await provider.create("test-1", TOKEN)
            assert agent.cluster.jobs == {}

    asyncio.run(claim())


def test_a_server_that_dies_at_its_start_is_not_waited_for():
    async def claim() -> None:
        changes = {"min_isolation": "namespaces", "restart_delay": 60.0, "idle_exit": 0.0}
        async with cluster(**changes) as (agent, provider):
            made = await provider.create("test-1", TOKEN)
            [[allocation]] = agent.cluster.allocations.values()
            os.kill(allocation.process.pid, signal.SIGKILL)
            async with asyncio.timeout(15):
                while await provider.failure("test-1") is None:
                    await asyncio.to_thread(os.sched_yield)
            reason = await provider.failure("test-1")
            assert "restarts it after a delay" in reason, reason
            assert made.url

    asyncio.run(claim())


def test_a_server_that_is_restarted_keeps_its_address():
    async def claim() -> None:
        async with cluster() as (agent, provider):
            made = await provider.create("test-1", TOKEN)
            await until_healthy(made)
            [[allocation]] = agent.cluster.allocations.values()
            os.kill(allocation.process.pid, signal.SIGKILL)
            async with asyncio.timeout(15):
                while allocation.starts < 2:
                    await agent.cluster.changed_since(agent.cluster.index, 1)
            await until_healthy(made)
            assert await provider.address("test-1", TOKEN) == made

    asyncio.run(claim())


def test_an_agent_that_is_down_is_a_typed_error_with_advice():
    async def claim() -> None:
        async with cluster() as (agent, provider):
            await agent.pause()
            with pytest.raises(ServerError, match="check `address`"):
                await provider.find()
            with pytest.raises(ServerError):
                await provider.create("test-1", TOKEN)

    asyncio.run(claim())


def test_an_agent_that_answers_slowly_meets_the_deadline():
    async def claim() -> None:
        async with cluster(http_timeout=1.0) as (agent, provider):
            agent.faults.delay = 5.0
            with pytest.raises(ServerError, match="doesn't answer"):
                async with asyncio.timeout(4.5):
                    await provider.find()
            agent.faults.delay = 0.0

    asyncio.run(claim())


def test_a_refused_token_and_a_missing_leader_say_what_to_do():
    async def claim() -> None:
        async with cluster() as (agent, provider):
            agent.faults.token = "right"
            with pytest.raises(UnauthorizedError, match="submit-job"):
                await provider.find()
            agent.faults.token = None
            agent.faults.no_leader = True
            with pytest.raises(ServerError, match="leader"):
                await provider.start()

    asyncio.run(claim())


def test_a_cancelled_creation_leaves_nothing():
    async def claim() -> None:
        async with cluster() as (agent, provider):
            for delay in (0.0, 0.005, 0.02, 0.05, 0.1, 0.2):
                creating = asyncio.create_task(provider.create("test-1", TOKEN))
                await asyncio.wait({creating}, timeout=delay)
                creating.cancel()
                await asyncio.gather(creating, return_exceptions=True)
                if not creating.cancelled():
                    await provider.remove("test-1")
                assert (agent.cluster.jobs, agent.cluster.variables) == ({}, {})

    asyncio.run(claim())


def test_reasons_are_read_from_nomads_own_records():
    event = {"Type": "Driver Failure", "DisplayMessage": "cap_add: sys_admin isn't in allow_caps"}
    row = {"ClientStatus": "pending", "TaskStates": {"t": {"Events": [event]}}}
    assert "allow_caps" in str(allocation_problem(row))
    assert allocation_problem({"ClientStatus": "running", "TaskStates": None}) is None
    assert allocation_problem({"ClientStatus": "pending"}) is None
    lost = {"ClientStatus": "lost", "ClientDescription": "node is down"}
    assert "node is down" in str(allocation_problem(lost))
    assert placement_problem([]) is None
    empty = {"FailedTGAllocs": {"g": {"NodesEvaluated": 0}}}
    assert "no nodes in these datacenters" in str(placement_problem([empty]))


def test_contradictory_settings_are_refused():
    with pytest.raises(ConfigError, match="singularity_image"):
        NomadConfig(driver="singularity")


@pytest.mark.skipif(shutil.which("nomad") is None, reason="no `nomad` on PATH")
def test_a_real_agent_runs_a_server():
    async def claim() -> None:
        agent = await asyncio.create_subprocess_exec("nomad", "agent", "-dev")
        provider = NomadProvider(NomadConfig(name="test", **APPTAINER))
        try:
            async with asyncio.timeout(60):
                while True:
                    try:
                        await provider.start()
                        break
                    except ServerError:
                        await asyncio.to_thread(os.sched_yield)
            await until_healthy(await provider.create("test-1", TOKEN))
            await provider.remove("test-1")
        finally:
            await provider.aclose()
            agent.terminate()
            await agent.wait()

    asyncio.run(claim())
