"""The public fake backend behaves as the protocol says, apart from running anything."""

import asyncio

import pytest

from treadle_sandbox import (
    Backend,
    JobNotFoundError,
    Lease,
    LeaseClosedError,
    LeaseTimeoutError,
    SlotLostError,
    SnapshotNotFoundError,
)
from treadle_sandbox.testing import FakeBackend, leases, script_of


def run(work):
    return asyncio.run(work)


def test_it_satisfies_the_protocols():
    async def check() -> None:
        async with FakeBackend() as backend, await backend.lease() as lease:
            assert isinstance(backend, Backend)
            assert isinstance(lease, Lease)

    run(check())


def test_answers_come_in_order_and_calls_are_kept():
    async def check() -> None:
        backend = FakeBackend(script_of([b"one", 3]))
        async with backend, await backend.lease() as lease:
            first = await lease.exec(["echo"], stdin=b"in", env={"A": "1"})
            second = await lease.shell("exit 3")
            assert (first.stdout, second.exit_code) == (b"one", 3)
            with pytest.raises(AssertionError, match="no answer is left"):
                await lease.shell("more")
        assert [(call.kind, call.argv) for call in backend.calls] == [
            ("exec", ("echo",)),
            ("shell", ("exit 3",)),
            ("shell", ("more",)),
        ]
        assert (backend.calls[0].stdin, backend.calls[0].env) == (b"in", {"A": "1"})

    run(check())


def test_dying_infrastructure_can_be_played():
    def die(call):
        raise SlotLostError("gone")

    async def check() -> None:
        async with FakeBackend(die) as backend, await backend.lease() as lease:
            with pytest.raises(SlotLostError):
                await lease.exec(["true"])

    run(check())


def test_slots_are_bounded_and_come_back():
    async def check() -> None:
        async with FakeBackend(slots=1) as backend:
            lease = await backend.lease()
            with pytest.raises(LeaseTimeoutError):
                await backend.lease(timeout=0.01)
            await lease.aclose()
            await lease.aclose()
            with pytest.raises(LeaseClosedError):
                await lease.exec(["true"])
            async with await backend.lease(timeout=0.01):
                assert backend.statistics().leased == 1
        assert backend.statistics().leased == 0

    run(check())


def test_files_snapshots_and_forks_keep_their_bytes(tmp_path):
    async def check() -> None:
        async with FakeBackend(slots=4) as backend, await backend.lease() as lease:
            await lease.write_file("a/b", b"1", executable=True)
            snapshot = await lease.snapshot()
            assert (snapshot.bytes, snapshot.files) == (1, 1)
            await lease.write_file("a/b", b"2")
            one, two = await lease.fork(2)
            assert await one.read_file("a/b") == await two.read_file("a/b") == b"2"
            await two.extract(await lease.archive(), "copy")
            assert await two.read_file("copy/a/b") == b"2"
            await lease.restore(snapshot)
            assert await lease.read_file("a/b") == b"1"
            assert await lease.download(".", tmp_path) == 1
            assert (tmp_path / "a" / "b").read_bytes() == b"1"
            with pytest.raises(LeaseTimeoutError):
                await lease.fork(2, timeout=0.01)
            assert backend.statistics().leased == 3
            await backend.discard(snapshot)
            with pytest.raises(SnapshotNotFoundError):
                await lease.restore(snapshot)
            await lease.reset()
            assert await lease.list_files() == ()

    run(check())


def test_jobs_end_as_their_answers_say():
    async def check() -> None:
        async with FakeBackend(script_of([b"log"])) as backend, await backend.lease() as lease:
            job = await lease.start(["server"])
            assert [chunk.data async for chunk in job.output()] == [b"log"]
            assert (await (await lease.job(job.id)).wait()).exit_code == 0
            with pytest.raises(JobNotFoundError):
                await lease.job("other")

    run(check())


@pytest.mark.parametrize(
    "check",
    [
        leases.check_the_interface_is_satisfied,
        leases.check_a_full_backend_times_out,
    ],
    ids=lambda check: check.__name__,
)
def test_it_passes_the_checks_that_run_no_command(check):
    async def work() -> None:
        async with FakeBackend() as backend:
            await check(backend)

    run(work())
