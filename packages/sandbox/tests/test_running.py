"""How local slots run commands: supervisors, lifetimes, sessions over a reset, users."""

import asyncio
import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_sandbox import (
    InvalidCommandError,
    Isolation,
    JobNotFoundError,
    LeaseExpiredError,
    Privilege,
    UnsupportedError,
)
from treadle_sandbox.slot import archives, frames
from treadle_sandbox.slot.shells import quote
from treadle_sandbox.slot.streams import Stream
from treadle_sandbox.testing import backend_at


def run(level, work, **options):
    async def main():
        async with backend_at(level, **options) as backend, await backend.lease() as lease:
            await work(lease)

    asyncio.run(main())


async def supervisor_of(lease):
    result = await lease.exec(["sh", "-c", "echo $PPID"])
    return int(result.stdout)


def test_a_supervisor_serves_the_next_command_until_something_is_left(level):
    async def work(lease):
        first = await supervisor_of(lease)
        assert await supervisor_of(lease) == first
        assert (await lease.exec(["sh", "-c", "sleep 60 & echo $PPID"])).stdout == b"%d\n" % first
        second = await supervisor_of(lease)
        assert second != first
        assert await supervisor_of(lease) == second
        await lease.kill_all()
        assert await supervisor_of(lease) != second

    run(level, work)


def test_an_idle_supervisor_ends_and_the_next_command_gets_another(level):
    async def work(lease):
        session = await lease.session()
        first = await supervisor_of(lease)
        script = f"n=0; while test -d /proc/{first} && test $n -lt 400; do n=$((n+1)); "
        script += f"read -t 0.05 <> <(:); done; test -d /proc/{first}"
        assert (await session.run(script)).exit_code == 1, "it still runs"
        assert await supervisor_of(lease) != first

    run(level, work)


def test_a_killed_supervisor_costs_one_command_alone(level):
    async def work(lease):
        killed = await lease.exec(["sh", "-c", "kill -9 $PPID; sleep 60"], timeout=20)
        assert killed.exit_code == 137
        assert not killed.timed_out
        assert (await lease.exec(["echo", "on"])).stdout == b"on\n"
        session = await lease.session()
        lost = await session.run("kill -9 $PPID; sleep 60", timeout=20)
        assert lost.exit_code == 137
        assert (await session.run("echo on")).stdout == b"on\n"
        job = await lease.start(["sh", "-c", "kill -9 $PPID; sleep 60"])
        assert (await job.wait(20)).exit_code == 137

    run(level, work)


def test_idle_supervisors_and_shells_may_be_killed(level):
    async def work(lease):
        if lease.isolation == Isolation.PROCESS:
            pytest.skip("a process of this level reaches the user's own")
        session = await lease.session()
        for _ in range(3):
            both = [lease.exec(["sleep", "0.2"]) for _ in range(2)]
            assert [result.exit_code for result in await asyncio.gather(*both)] == [0, 0]
            assert (await lease.exec(["sh", "-c", "kill -9 -1"])).exit_code in (0, 137)
            assert (await lease.exec(["echo", "on"])).stdout == b"on\n"
            assert (await session.run("echo on")).stdout == b"on\n"

    run(level, work)


def test_a_cancelled_write_leaves_the_job_usable(level):
    async def work(lease):
        job = await lease.start(["sh", "-c", "read line; echo $line; sleep 60"])
        writing = asyncio.create_task(job.write(b"first\n" + bytes(1 << 20)))
        assert (await job.read(wait=20)).data == b"first\n"
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(writing, 5)
        waiting = asyncio.create_task(job.wait())
        await asyncio.wait({waiting}, timeout=0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, 5)
        await job.kill()
        assert (await job.wait(20)).exit_code == 137

    run(level, work)


def test_a_supervisor_shows_its_pipes_to_no_command(level):
    async def work(lease):
        script = "ls /proc/$PPID/fd && echo readable; ls /proc/1/fd && echo readable"
        result = await lease.exec(["sh", "-c", script])
        if lease.isolation != Isolation.PROCESS:
            assert b"readable" not in result.stdout, result

    run(level, work)


def test_limits_hold_in_sessions_jobs_and_shells(level):
    async def work(lease):
        session = await lease.session()
        expected = (await lease.exec(["sh", "-c", "ulimit -n; ulimit -v; ulimit -c"])).stdout
        assert (await session.run("ulimit -n; ulimit -v; ulimit -c")).stdout == expected
        assert (await lease.shell("ulimit -n; ulimit -v; ulimit -c")).stdout == expected
        job = await lease.start(["sh", "-c", "ulimit -n; ulimit -v; ulimit -c"])
        await job.wait(20)
        assert (await job.read()).data == expected

    run(level, work)


def test_a_session_and_a_job_know_of_a_reset(level):
    async def work(lease):
        session = await lease.session()
        job = await lease.start(["sleep", "60"])
        await session.run("X=1; touch file")
        await lease.reset()
        assert (await session.run('ls; echo "[$X]"')).stdout == b"[]\n"
        assert session.restarts == 1
        with pytest.raises(JobNotFoundError, match=job.id):
            await job.wait(1)
        await lease.kill_all()
        assert (await session.run("echo on")).stdout == b"on\n"
        assert session.restarts == 2

    run(level, work)


def test_a_lease_that_is_not_renewed_closes_itself():
    async def main():
        async with backend_at(Isolation.PROCESS, slots=1) as backend:
            lease = await backend.lease(lifetime=30)
            assert await lease.renew(0.3) == 0.3
            running = asyncio.create_task(lease.exec(["sleep", "60"], timeout=60))
            with pytest.raises(LeaseExpiredError, match="renewed"):
                await running
            for call in (lease.exec(["true"]), lease.read_file("x"), lease.renew(1), lease.jobs()):
                with pytest.raises(LeaseExpiredError):
                    await call
            await lease.aclose()
            async with await backend.lease(timeout=20) as after:
                assert await after.renew(1) == float("inf")
                assert (await after.exec(["true"])).exit_code == 0
            with pytest.raises(InvalidCommandError, match="lifetime"):
                await backend.lease(lifetime=0)

    asyncio.run(main())


def test_a_level_without_other_users_refuses_them():
    async def work(lease):
        for privilege in (Privilege.VERIFIER, Privilege.ROOT):
            for call in (lease.exec, lease.start):
                with pytest.raises(UnsupportedError, match=privilege):
                    await call(["true"], privilege=privilege)

    run(Isolation.PROCESS, work)


def test_a_verifier_runs_apart_from_the_user(level):
    async def main():
        async with backend_at(level) as backend, await backend.lease() as lease:
            if not backend.capabilities.verifier_user:
                pytest.skip("no verifier at this level here")
            session = await lease.session()
            await session.run("mkdir -m 700 own && echo secret > own/file; sleep 60 &")
            for _ in range(2):
                result = await lease.exec(["id", "-u"], privilege=Privilege.VERIFIER)
                assert result.stdout == b"1001\n"
                assert (await lease.exec(["id", "-u"])).stdout == b"1000\n"
            result = await lease.shell(
                "cat own/file; echo more >> own/file; id -u", privilege=Privilege.VERIFIER
            )
            assert result.stdout == b"secret\n1001\n", result
            job = await lease.start(["sleep", "60"], privilege=Privilege.VERIFIER)
            reach = "for p in /proc/[0-9]*; do test -r $p/environ && grep -s Uid $p/status; done"
            seen = await lease.exec(["sh", "-c", reach])
            assert b"1001" not in seen.stdout, seen
            await job.kill()
            late = await lease.exec(["sleep", "60"], timeout=0.5, privilege=Privilege.VERIFIER)
            assert late.timed_out

    asyncio.run(main())


@given(st.binary())
def test_a_quoted_text_is_one_word(text):
    quoted = quote(text)
    assert quoted[:1] == quoted[-1:] == b"'"
    assert b"".join(quoted[1:-1].split(b"'\\''")) == text.replace(b"'", b"")
    assert quoted[1:-1].replace(b"'\\''", b"'") == text


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=12), st.integers(1, 500))
def test_a_stream_gives_its_last_bytes_by_offset(pieces, keep):
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb", buffering=0) as pipe:
        stream = Stream(reader, keep)
        for piece in pieces:
            pipe.write(piece)
            stream.read()
    written = b"".join(pieces)
    assert stream.end == len(written)
    for offset in (0, len(written) // 2, len(written) + 5):
        begin, data = stream.cut(offset, 10_000)
        assert data == written[begin:]
        assert begin >= min(offset, len(written))
        assert len(data) <= keep


def unpack(folder, data):
    """Unpack; return the error number, 0 for success."""
    try:
        archives.unpack(str(folder), "into", data, 1_000_000)
    except OSError as error:
        return error.errno
    return 0


@given(st.binary(max_size=3000))
def test_any_bytes_are_an_archive_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("folder")
    assert unpack(folder, data) in (0, frames.BAD_ARCHIVE)
    assert [path.name for path in folder.iterdir()] in ([], ["into"])


@given(st.binary(min_size=1, max_size=60), st.integers(0, 1100), st.booleans())
def test_a_damaged_archive_writes_nothing_outside(tmp_path_factory, damage, place, zipped):
    folder = tmp_path_factory.mktemp("folder")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if zipped else "w") as archive:
        for name in ("a", "b/c"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
    data = bytearray(buffer.getvalue())
    data[place : place + len(damage)] = damage
    assert unpack(folder, bytes(data)) is not None
    assert [path.name for path in folder.iterdir()] in ([], ["into"])
