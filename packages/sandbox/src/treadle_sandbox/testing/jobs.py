"""Checks of background jobs: state, output by offset, live input, signals, re-attaching."""

import asyncio
import sys
import uuid

from treadle_sandbox.backend import Backend, Job
from treadle_sandbox.errors import (
    InvalidCommandError,
    JobNotFoundError,
    SlotFileError,
    WorkdirError,
)
from treadle_sandbox.testing.expectations import expect_error, expect_gone


async def _collect(job: Job, stream: str) -> bytes:
    return b"".join([chunk.data async for chunk in job.output(stream)])


async def check_a_job_runs_to_its_end(backend: Backend) -> None:
    """State, exit code and both outputs of a job are exact and stay readable."""
    async with await backend.lease() as lease:
        job = await lease.start(["sh", "-c", "echo out; echo err >&2; exit 3"])
        state = await job.wait(20)
        assert (state.running, state.exit_code, state.timed_out) == (False, 3, False), state
        assert (state.stdout_bytes, state.stderr_bytes) == (4, 4), state
        assert await _collect(job, "stdout") == b"out\n"
        assert await _collect(job, "stderr") == b"err\n"
        tail = await job.read("stdout", 2)
        assert (tail.stream, tail.offset, tail.data) == ("stdout", 2, b"t\n"), tail
        assert (await job.read("stdout", 4)).data == b""
        assert (await job.read(limit=1)).data == b"o"
        missing = await lease.start(["no-such-program"])
        assert (await missing.wait(20)).exit_code == 127
        await expect_error(WorkdirError, lease.start(["true"], workdir="absent"))
        await expect_error(InvalidCommandError, lease.start([]))
        await expect_error(InvalidCommandError, job.read("stdin"))


async def check_a_job_takes_live_input(backend: Backend) -> None:
    """What is written arrives at once, large input waits for its reader, the end is the end."""
    data = bytes(range(256)) * 2000
    async with await backend.lease() as lease:
        job = await lease.start(["cat"])
        await job.write(b"first")
        assert (await job.read(wait=20)).data == b"first"
        await asyncio.gather(job.write(data), _wait_for(job, 5 + len(data)))
        await job.write(b"", end=True)
        assert (await job.wait(20)).exit_code == 0
        assert await _collect(job, "stdout") == b"first" + data
        await expect_error(SlotFileError, job.write(b"late"))


async def _wait_for(job: Job, size: int) -> None:
    offset = 0
    while offset < size:
        chunk = await job.read(offset=offset, wait=20)
        assert chunk.data, "the output stopped"
        offset = chunk.offset + len(chunk.data)


async def check_a_job_is_found_again(backend: Backend) -> None:
    """Jobs are listed and attached to by name, and gone after a reset."""
    async with await backend.lease() as lease:
        jobs = [await lease.start(["sh", "-c", f"echo {number}; cat"]) for number in range(3)]
        states = await lease.jobs()
        assert [state.id for state in states] == [job.id for job in jobs], states
        assert all(state.running and state.exit_code is None for state in states), states
        again = await lease.job(jobs[1].id)
        assert (await again.read(wait=20)).data == b"1\n"
        await expect_error(JobNotFoundError, lease.job("absent"))
        await lease.kill_all()
        for job in jobs:
            assert (await job.wait(20)).exit_code == 137
        await lease.reset()
        assert await lease.jobs() == ()
        await expect_error(JobNotFoundError, jobs[0].state())


async def check_a_job_is_signalled_and_killed(backend: Backend) -> None:
    """A signal reaches the job's group, 9 and a timeout end everything below it."""
    mark = f"mark-{uuid.uuid4().hex}"
    async with await backend.lease() as lease:
        polite = await lease.start(["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do :; done"])
        assert (await polite.read(wait=20)).data == b"up\n"
        await polite.kill(15)
        assert (await polite.wait(20)).exit_code == 5
        await polite.kill()
        script = f"setsid sh -c 'trap \"\" TERM; sleep 60' {mark} & echo up; wait"
        killed = await lease.start(["sh", "-c", script])
        assert (await killed.read(wait=20)).data == b"up\n"
        await killed.kill()
        assert (await killed.wait(20)).exit_code == 137
        late = await lease.start(["sh", "-c", "echo up; sleep 60"], timeout=0.5)
        state = await late.wait(20)
        assert (state.exit_code, state.timed_out, state.stdout_bytes) == (124, True, 3), state
        running = await lease.start(["sleep", "60"])
        assert (await running.wait(0.05)).running
        if sys.platform == "linux":
            await expect_gone(lease, mark)


async def check_the_output_of_a_job_is_bounded(backend: Backend) -> None:
    """The slot keeps the last bytes; a reader that comes late sees where they begin."""
    async with await backend.lease() as lease:
        script = "head -c 5000000 /dev/zero; printf end"
        job = await lease.start(["sh", "-c", script], keep=1000)
        state = await job.wait(60)
        assert state.stdout_bytes == 5_000_003, state
        chunk = await job.read()
        assert chunk.offset == 5_000_003 - 1000, chunk.offset
        assert chunk.data == bytes(997) + b"end"
        endless = await lease.start(["yes"], keep=1000)
        assert (await endless.read(offset=1_000_000, wait=20)).data
        assert (await lease.exec(["true"])).exit_code == 0


CHECKS = (
    check_a_job_runs_to_its_end,
    check_a_job_takes_live_input,
    check_a_job_is_found_again,
    check_a_job_is_signalled_and_killed,
    check_the_output_of_a_job_is_bounded,
)
