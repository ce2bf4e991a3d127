"""Sessions, jobs and archives of Modal sandboxes used directly."""

import asyncio
import io
import tarfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from treadle_sandbox import ArchiveError, IsolationUnavailableError, JobNotFoundError, LocalBackend
from treadle_sandbox.config import ModalConfig
from treadle_sandbox.modal import ModalExecBackend
from treadle_sandbox.testing.fake_modal import FakeModal


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def backend(runner) -> Iterator[ModalExecBackend]:
    place = running()
    try:
        yield runner.run(place.__aenter__())
    finally:
        runner.run(place.__aexit__(None, None, None))


@asynccontextmanager
async def running():
    with pytest.MonkeyPatch.context() as environment:
        local = LocalBackend(slots=4)
        try:
            await local.__aenter__()
        except IsolationUnavailableError as error:
            pytest.skip(str(error))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(local.aclose)
            fake = await stack.enter_async_context(FakeModal(local))
            environment.setenv("MODAL_SERVER_URL", fake.url)
            environment.setenv("MODAL_CONFIG_PATH", "/dev/null")
            async with await local.lease() as lease:
                workdir = lease.workdir
            config = ModalConfig(
                mode="exec",
                name="shells",
                token_id="ak-good",
                token_secret="as-secret",
                workdir=workdir,
                min_containers=0,
                creations_per_second=1000,
            )
            async with ModalExecBackend(config) as made:
                yield made


def claim(runner, backend, work) -> None:
    async def use() -> None:
        async with await backend.lease() as lease:
            await work(lease)

    runner.run(use())


def test_a_session_keeps_its_state(runner, backend):
    async def work(lease):
        session = await lease.session()
        assert (await session.run("x=5; mkdir inner; cd inner; f() { echo f$x; }")).exit_code == 0
        result = await session.run("f; pwd; echo bad >&2; false")
        assert result.exit_code == 1
        assert result.stdout.decode() == f"f5\n{lease.workdir}/inner\n"
        assert result.stderr == b"bad\n"
        other = await lease.session("other")
        assert (await other.run('echo "[$x]"')).stdout == b"[]\n"
        assert await lease.session() is session
        assert session.restarts == 0

    claim(runner, backend, work)


def test_a_session_survives_what_its_commands_do_to_it(runner, backend):
    async def work(lease):
        session = await lease.session()
        assert (await session.run("exit 3")).exit_code == 3
        assert (await session.run("echo new")).stdout == b"new\n"
        assert session.restarts == 1
        assert (await session.run("exec 1>&-; echo x")).exit_code != 0
        assert (await session.run("echo still")).stdout == b"still\n"
        assert (await session.run("set -e; false; echo no")).exit_code == 1
        assert (await session.run("printf() { :; }; eval() { :; }; true")).exit_code == 0
        assert (await session.run("cat")).stdout == b""
        late = await session.run("echo before; sleep 60", timeout=0.7)
        assert (late.exit_code, late.timed_out, late.stdout) == (124, True, b"before\n")
        assert (await session.run("echo after")).stdout == b"after\n"
        await lease.kill_all()
        assert (await session.run("echo again")).stdout == b"again\n"
        forged = await session.run("echo 0 >&9; echo 7 >&8; exit 5")
        assert forged.exit_code == 5
        await session.aclose()
        await session.aclose()

    claim(runner, backend, work)


def test_a_fresh_shell_depends_on_nothing_before(runner, backend):
    async def work(lease):
        assert (await lease.shell("x=1; echo $x")).stdout == b"1\n"
        assert (await lease.shell('echo "[$x]"; exit 4')).exit_code == 4
        assert (await lease.shell("cat", stdin=b"in")).stdout == b"in"

    claim(runner, backend, work)


def test_a_job_is_written_to_and_read_while_it_runs(runner, backend):
    async def work(lease):
        job = await lease.start(["cat"])
        await job.write(b"one\n")
        chunk = await job.read(wait=20)
        assert (chunk.offset, chunk.data) == (0, b"one\n")
        await job.write(b"two\n")
        chunk = await job.read(offset=4, wait=20)
        assert chunk.data == b"two\n"
        assert (await job.state()).running
        found = await lease.job(job.id)
        await found.write(b"three\n", end=True)
        state = await job.wait(20)
        assert (state.running, state.exit_code, state.stdout_bytes) == (False, 0, 14)
        pieces = [piece.data async for piece in job.output()]
        assert b"".join(pieces) == b"one\ntwo\nthree\n"
        assert [each.id for each in await lease.jobs()] == [job.id]
        await lease.reset()
        with pytest.raises(JobNotFoundError):
            await lease.job(job.id)

    claim(runner, backend, work)


def test_a_job_ends_by_signal_and_by_timeout(runner, backend):
    async def work(lease):
        job = await lease.start(["sh", "-c", "sleep 60 & wait"])
        await job.kill()
        assert (await job.wait(20)).exit_code == 137
        late = await lease.start(["sleep", "60"], timeout=0.5)
        state = await late.wait(20)
        assert (state.timed_out, state.exit_code) == (True, 124)

    claim(runner, backend, work)


def test_archives_go_both_ways_and_can_not_lead_outside(runner, backend):
    async def work(lease):
        await lease.write_file("a/b/file", b"content")
        await lease.write_file("a/tool", b"#!/bin/sh\n", executable=True)
        packed = await lease.archive("a")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            modes = {member.name: member.mode for member in archive if member.isreg()}
        assert modes == {"b/file": 0o644, "tool": 0o755}
        assert await lease.extract(packed, "copy") == 2
        assert await lease.read_file("copy/b/file") == b"content"
        for name in ("../outside", "/tmp/outside", "x/../../outside"):
            with pytest.raises(ArchiveError):
                await lease.extract(make_archive(name), "copy")
        with pytest.raises(ArchiveError):
            await lease.extract(b"no archive", "copy")
        assert await lease.exec(["ls", "/tmp/outside"]) is not None

    claim(runner, backend, work)


def make_archive(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    return out.getvalue()
