"""The client over real server processes."""

import asyncio
import contextlib
import dataclasses
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from treadle_sandbox import (
    BackendStateError,
    ConfigError,
    InvalidCommandError,
    Isolation,
    LeaseExpiredError,
    ServerError,
    SlotLostError,
    SnapshotNotFoundError,
    UnauthorizedError,
)
from treadle_sandbox.remote import RemoteBackend
from treadle_sandbox.testing import CHECKS, ISOLATION_CHECKS, run_check
from treadle_sandbox.testing.server import ServerProcess


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    runner: asyncio.Runner
    server: ServerProcess
    backend: RemoteBackend


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with asyncio.Runner() as runner:
        server = ServerProcess("--min-isolation", "auto", slots=4)
        runner.run(server.__aenter__())
        backend = server.backend()
        runner.run(backend.__aenter__())
        try:
            yield Place(runner, server, backend)
        finally:
            runner.run(backend.aclose())
            runner.run(server.stop())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(place, check):
    place.runner.run(run_check(check, place.backend))


@pytest.mark.parametrize("check", ISOLATION_CHECKS, ids=lambda check: check.__name__)
def test_confines(place, check):
    if place.backend.capabilities.isolation < Isolation.NAMESPACES:
        pytest.skip("the process level is no boundary, by definition")
    place.runner.run(run_check(check, place.backend))


async def until(true, seconds=10.0):
    """Wait until `true()` holds; its answer may be awaitable."""
    async with asyncio.timeout(seconds):
        while True:
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


def test_a_wrong_token_opens_nothing(place):
    async def run():
        for token in ("wrong-token", None):
            with pytest.raises(UnauthorizedError):
                async with RemoteBackend(place.server.url, token=token):
                    pass

    place.runner.run(run())


def test_a_server_that_is_not_there_is_a_typed_error():
    async def run():
        with pytest.raises(ServerError, match="can't be reached"):
            async with RemoteBackend("http://127.0.0.1:9", token="x" * 8):
                pass
        with pytest.raises(ConfigError):
            RemoteBackend("127.0.0.1:9")
        with pytest.raises(BackendStateError):
            await RemoteBackend("http://127.0.0.1:9").lease()

    asyncio.run(run())


def test_health_and_leases_are_told(place):
    async def run():
        before = await place.backend.health()
        assert (before.status, before.slots, before.leased) == ("ready", 4, 0)
        async with place.server.backend(owner="me") as other, await other.lease() as lease:
            assert (await place.backend.health()).leased == 1
            (told,) = await place.backend.list_leases()
            assert (told.id, told.owner, told.epoch) == (lease.id, "me", 1)
        assert await place.backend.list_leases() == ()

    place.runner.run(run())


def test_a_lease_that_is_taken_over_refuses_its_former_holder(place):
    async def run():
        old = await place.backend.lease()
        await old.write_file("kept", b"1")
        async with place.server.backend() as other:
            for token in (None, old.token):
                new = await other.attach(old.id, token)
            assert new.epoch == 3
            assert await new.read_file("kept") == b"1"
            with pytest.raises(LeaseExpiredError, match="taken over"):
                await old.exec(["true"])
            with pytest.raises(LeaseExpiredError):
                await old.read_file("kept")
            assert (await new.exec(["true"])).exit_code == 0
            with pytest.raises(UnauthorizedError):
                await other.attach(old.id, "not-the-token")
        await old.aclose()

    place.runner.run(run())


def test_a_lease_ends_when_it_is_not_renewed(place):
    async def run():
        async with await place.backend.lease(lifetime=0.3) as lease:
            assert await lease.renew(0.6) == 0.6
            assert (await lease.exec(["true"])).exit_code == 0
            await until(lambda: gone(place.backend, lease.id))
            with pytest.raises(LeaseExpiredError, match="renewed"):
                await lease.exec(["true"])
            with pytest.raises(LeaseExpiredError):
                await lease.renew(5)

    place.runner.run(run())


async def gone(backend, name):
    return name not in {told.id for told in await backend.list_leases()}


def test_the_client_keeps_its_leases_alive(place):
    async def run():
        async with place.server.backend(heartbeat=0.5) as client, await client.lease() as lease:
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=1.2)
            assert (await lease.exec(["true"])).exit_code == 0

    place.runner.run(run())


def test_arguments_that_are_no_text_arrive(place):
    async def run():
        async with await place.backend.lease() as lease:
            word = os.fsdecode(b"\xff\xfe")
            result = await lease.exec(["printf", "%s", word], env={"X": word})
            assert result.stdout == b"\xff\xfe"
            await lease.write_file(f"{word}/ä?&#%", b"2")
            assert [e.path for e in await lease.list_files()] == [f"{word}/ä?&#%"]
            assert await lease.read_file(f"{word}/ä?&#%") == b"2"

    place.runner.run(run())


def test_commands_that_mean_nothing_are_refused(place):
    async def run():
        async with await place.backend.lease() as lease:
            for argv in ([], "true", ["a\0b"], [""], [5]):
                with pytest.raises(InvalidCommandError):
                    await lease.exec(argv)
            for timeout in (0, -1, float("nan"), float("inf")):
                with pytest.raises(InvalidCommandError):
                    await lease.exec(["true"], timeout=timeout)
            for name in ("", "..", "a/b", "a?b"):
                with pytest.raises(InvalidCommandError):
                    await lease.session(name)

    place.runner.run(run())


def test_one_session_keeps_its_state_between_calls(place):
    async def run():
        async with await place.backend.lease() as lease:
            session = await lease.session()
            await session.run("cd /tmp; x=5")
            assert (await session.run("pwd; echo $x")).stdout == b"/tmp\n5\n"
            assert (await session.run("exit 3")).exit_code == 3
            assert (await session.run("echo again")).stdout == b"again\n"
            assert session.restarts == 1
            await session.aclose()

    place.runner.run(run())


def test_a_job_is_fed_followed_and_found_by_another_client(place):
    async def run():
        async with await place.backend.lease() as lease:
            job = await lease.start(["cat"])
            await job.write(b"one\n\xff")
            assert (await job.read(wait=10)).data == b"one\n\xff"
            async with place.server.backend() as other:
                held = await other.attach(lease.id)
                found = await held.job(job.id)
                await found.write(b"two", end=True)
                pieces = [chunk.data async for chunk in found.output()]
                assert b"".join(pieces) == b"one\n\xfftwo"
                assert (await found.wait(5)).exit_code == 0
                assert [state.id for state in await held.jobs()] == [job.id]

    place.runner.run(run())


def test_a_dead_server_is_a_lost_slot():
    async def run():
        async with (
            ServerProcess("--min-isolation", "auto", slots=2) as server,
            server.backend() as backend,
        ):
            lease = await backend.lease()
            running = asyncio.create_task(lease.exec(["sleep", "60"]))
            await until(lambda: backend.statistics().running == 1)
            await server.kill()
            with pytest.raises(SlotLostError):
                await running
            with pytest.raises(SlotLostError):
                await lease.exec(["true"])
            with pytest.raises(ServerError):
                await backend.lease(timeout=0.1)
            with pytest.raises(ServerError):
                await backend.health()
            await lease.aclose()

    asyncio.run(run())


def test_a_killed_server_leaves_no_process():
    async def run():
        async with (
            ServerProcess("--min-isolation", "auto", slots=2) as server,
            server.backend() as backend,
        ):
            lease = await backend.lease()
            job = asyncio.create_task(lease.exec(["sleep", "54321.5"]))
            await until(lambda: find_processes("54321.5"))
            await server.kill()
            await until(lambda: not find_processes("54321.5"))
            await asyncio.gather(job, return_exceptions=True)

    asyncio.run(run())


def find_processes(word):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(folder.name)
    return found


def test_a_server_started_anew_has_lost_the_leases():
    async def run():
        async with (
            ServerProcess("--min-isolation", "auto", slots=2) as first,
            first.backend() as backend,
        ):
            lease = await backend.lease()
            await first.kill()
            port = first.address.rpartition(":")[2]
            again = ServerProcess(
                "--min-isolation", "auto", "--port", port, slots=2, token=first.token
            )
            async with again:
                with pytest.raises(SlotLostError, match="anew"):
                    await lease.exec(["true"])
                async with await backend.lease() as new:
                    assert (await new.exec(["true"])).exit_code == 0

    asyncio.run(run())


def test_a_stopped_server_meets_the_deadline_of_the_call():
    async def run():
        async with (
            ServerProcess("--min-isolation", "auto", slots=2) as server,
            server.backend(answer_timeout=1.0) as backend,
        ):
            lease = await backend.lease()
            server.send_signal(signal.SIGSTOP)
            try:
                with pytest.raises(ServerError, match="no answer"):
                    await backend.health()
                with pytest.raises(SlotLostError, match="no answer"):
                    await lease.exec(["true"], timeout=0.1)
            finally:
                server.send_signal(signal.SIGCONT)
            assert (await backend.health()).status == "ready"

    asyncio.run(run())


def test_snapshots_and_forks_carry_files(place):
    async def run():
        if not place.backend.capabilities.snapshots:
            pytest.skip("this level has no snapshots")
        async with await place.backend.lease() as lease:
            await lease.write_file("file", b"1")
            taken = await lease.snapshot()
            await lease.write_file("file", b"2")
            forks = await lease.fork(2)
            for fork in forks:
                assert await fork.read_file("file") == b"2"
                await fork.aclose()
            await lease.restore(taken)
            assert await lease.read_file("file") == b"1"
        async with await place.backend.lease(snapshot=taken) as lease:
            assert await lease.read_file("file") == b"1"
        await place.backend.discard(taken)
        with pytest.raises(SnapshotNotFoundError):
            await place.backend.discard(taken)
        with pytest.raises(SnapshotNotFoundError):
            await place.backend.lease(snapshot=taken)

    place.runner.run(run())


def test_a_fork_that_is_cancelled_leaves_no_lease(place):
    async def run():
        if not place.backend.capabilities.snapshots:
            pytest.skip("this level has no snapshots")
        async with await place.backend.lease() as lease:
            task = asyncio.create_task(lease.fork(4, timeout=30))
            await asyncio.wait({task}, timeout=0.3)
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert (await place.backend.health()).leased == 1

    place.runner.run(run())
