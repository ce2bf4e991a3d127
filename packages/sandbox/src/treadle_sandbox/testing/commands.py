"""Checks of `exec`: outcomes, streams, environment, timeouts and cancellation."""

import asyncio
import sys
import uuid

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.errors import InvalidCommandError, WorkdirError
from treadle_sandbox.testing.expectations import (
    expect_error,
    expect_gone,
    expect_output,
    run_python,
)

_DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        wait = "import time; time.sleep(60)"
        os.execvp("python3", ["python3", "-I", "-S", "-c", wait, sys.argv[1]])
    os._exit(0)
os.wait()
print("started", flush=True)
time.sleep(float(sys.argv[2]))
"""


async def check_outcomes_of_commands_are_values(backend: Backend) -> None:
    """Exit codes, signals, missing and unrunnable programs come back as results."""
    async with await backend.lease() as lease:
        result = await lease.exec(["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n"), result
        assert not result.timed_out, result
        assert not result.truncated, result
        assert result.isolation == backend.capabilities.isolation == lease.isolation, result
        assert (await lease.exec(["sh", "-c", "kill -9 $$"])).exit_code == 137
        missing = await lease.exec(["no-such-program"])
        assert missing.exit_code == 127, missing
        assert b"no-such-program" in missing.stderr, missing
        await lease.write_file("plain.txt", b"text")
        assert (await lease.exec(["./plain.txt"])).exit_code == 126


async def check_argv_reaches_the_program_unchanged(backend: Backend) -> None:
    """No shell stands between: spaces, quotes, newlines, stars and other scripts arrive as they
    are.
    """
    words = ["a b", "$HOME", "*", "'", '"', "", "-n", "line\nline", "日本", "\\"]
    async with await backend.lease() as lease:
        code = "import sys; print(ascii(sys.argv[1:]))"
        result = await lease.exec(["python3", "-I", "-S", "-c", code, *words])
        assert result.stdout.decode().strip() == ascii(words), result


async def check_commands_that_mean_nothing_are_refused(backend: Backend) -> None:
    """Empty argv, NUL characters, impossible variables and timeouts raise InvalidCommandError."""
    async with await backend.lease() as lease:
        await expect_error(InvalidCommandError, lease.exec([]))
        await expect_error(InvalidCommandError, lease.exec([""]))
        await expect_error(InvalidCommandError, lease.exec("true"))
        await expect_error(InvalidCommandError, lease.exec(["echo", "a\0b"]))
        await expect_error(InvalidCommandError, lease.exec(["true"], env={"A=B": "1"}))
        await expect_error(InvalidCommandError, lease.exec(["true"], env={"A": "\0"}))
        await expect_error(InvalidCommandError, lease.exec(["true"], timeout=0))
        await expect_error(InvalidCommandError, lease.exec(["true"], timeout=float("nan")))
        await expect_error(InvalidCommandError, lease.exec(["true"], output_limit=-1))
        long = await lease.exec(["true", "x" * 4_000_000])
        assert long.exit_code == 126, long
        assert (await lease.exec(["true"])).exit_code == 0


async def check_standard_input_is_delivered_and_ends(backend: Backend) -> None:
    """Bytes arrive exactly, large input doesn't block, no input is end of file."""
    data = bytes(range(256)) * 8192
    async with await backend.lease() as lease:
        result = await lease.exec(["cat"], stdin=data, output_limit=len(data))
        assert result.stdout == data
        assert (await lease.exec(["cat"], timeout=5)).stdout == b""
        unread = await lease.exec(["true"], stdin=data)
        assert unread.exit_code == 0, unread


async def check_environment_is_small_and_extendable(backend: Backend) -> None:
    """Commands get a fixed base and what the caller adds, nothing of the host's."""
    async with await backend.lease() as lease:
        result = await lease.exec(["env"], env={"EXTRA": "a=b c"})
        found = dict(line.split("=", 1) for line in result.stdout.decode().splitlines())
        assert found["EXTRA"] == "a=b c", found
        assert found["HOME"] == lease.workdir, found
        known = {
            "PATH",
            "HOME",
            "TMPDIR",
            "LANG",
            "USER",
            "LOGNAME",
            "EXTRA",
            "PWD",
            "TREADLE_SLOT",
        }
        assert set(found) <= known | {"__CF_USER_TEXT_ENCODING"}, found


async def check_working_directory(backend: Backend) -> None:
    """Commands start in the working directory or a folder below it; a missing one is an error."""
    async with await backend.lease() as lease:
        await lease.write_file("below/file", b"")
        assert (await lease.exec(["pwd", "-P"])).stdout.decode().strip() == lease.workdir
        inner = await lease.exec(["pwd", "-P"], workdir="below")
        assert inner.stdout.decode().strip() == f"{lease.workdir}/below"
        await expect_error(WorkdirError, lease.exec(["true"], workdir="absent"))
        await expect_error(InvalidCommandError, lease.exec(["true"], workdir="a\0b"))


async def check_python_is_there(backend: Backend) -> None:
    """`python3` runs with its standard library."""
    async with await backend.lease() as lease:
        code = "import json, math, decimal, fractions; print(math.comb(10, 5), json.dumps([1]))"
        await expect_output(lease, code, "252 [1]")
        result = await lease.exec(["python3", "-c", "print(6 * 7)"])
        assert result.stdout == b"42\n", result


async def check_output_is_bounded_and_exact(backend: Backend) -> None:
    """50 MB don't deadlock; what is kept is head and tail; bytes are never changed."""
    size = 50_000_000
    async with await backend.lease() as lease:
        code = f"import sys; w = sys.stdout.buffer.write; w(b'<'); w(b'x' * {size - 2}); w(b'>')"
        result = await run_python(lease, code, timeout=60)
        assert result.exit_code == 0, result.stderr
        assert result.truncated
        assert result.stdout_bytes == size, result.stdout_bytes
        assert 900_000 < len(result.stdout) <= 1_000_000, len(result.stdout)
        assert result.stdout[:1] + result.stdout[-1:] == b"<>"
        assert b"bytes omitted" in result.stdout
        raw = bytes(range(256)) + b"\xff\xfe\0\x1b[0m"
        whole = await run_python(lease, f"import sys; sys.stdout.buffer.write({raw!r})")
        assert whole.stdout == raw
        cut = await lease.exec(["sh", "-c", "echo abcdef; echo uvwxyz >&2"], output_limit=3)
        assert (cut.stdout, cut.stderr, cut.truncated) == (b"abc", b"uvw", True)
        none = await lease.exec(["echo", "a"], output_limit=0)
        assert (none.stdout, none.stdout_bytes, none.truncated) == (b"", 2, True)


async def check_timeout_ends_the_command_and_keeps_its_output(backend: Backend) -> None:
    """The output up to the timeout is there, signals can't be ignored, endless output can't hold
    it.
    """
    async with await backend.lease() as lease:
        script = "trap '' TERM INT; echo before; while :; do sleep 60; done"
        result = await lease.exec(["sh", "-c", script], timeout=1)
        assert (result.exit_code, result.timed_out) == (124, True), result
        assert result.stdout == b"before\n", result
        assert 0.9 < result.seconds < 10, result.seconds
        endless = await lease.exec(["sh", "-c", "yes"], timeout=0.5, output_limit=1000)
        assert endless.timed_out
        assert endless.truncated
        stopped = await lease.exec(["sh", "-c", "kill -STOP $$"], timeout=0.5)
        assert stopped.timed_out, stopped
        assert (await lease.exec(["true"])).exit_code == 0


async def check_timeout_ends_the_whole_tree(backend: Backend) -> None:
    """A process that left its session and was orphaned dies with the command that timed out."""
    if sys.platform != "linux":
        return
    mark = f"mark-{uuid.uuid4().hex}"
    async with await backend.lease() as lease:
        result = await lease.exec(["python3", "-I", "-S", "-c", _DAEMON, mark, "60"], timeout=1.5)
        assert result.stdout == b"started\n", result
        assert result.timed_out, result
        await expect_gone(lease, mark)


async def check_background_processes_live_until_killed(backend: Backend) -> None:
    """A daemon doesn't hold up its command, outlives it, and ends with `kill_all`."""
    if sys.platform != "linux":
        return
    mark = f"mark-{uuid.uuid4().hex}"
    async with await backend.lease() as lease:
        result = await lease.exec(["python3", "-I", "-S", "-c", _DAEMON, mark, "0"], timeout=20)
        assert result.exit_code == 0, result
        assert result.seconds < 15, "the daemon held up its command"
        noisy = await lease.exec(
            ["sh", "-c", "(while :; do echo late; sleep 0.01; done) & echo now"]
        )
        assert noisy.stdout.startswith(b"now") or b"late" in noisy.stdout, noisy
        assert (await lease.exec(["echo", "clean"])).stdout == b"clean\n"
        await lease.write_file("kept", b"1")
        await lease.kill_all()
        await expect_gone(lease, mark)
        assert await lease.read_file("kept") == b"1"


async def check_commands_of_one_lease_run_at_the_same_time(backend: Backend) -> None:
    """Two commands that wait for each other both end; results are never crossed."""
    async with await backend.lease() as lease:
        await lease.exec(["mkfifo", "pipe"])
        reader = asyncio.create_task(lease.exec(["cat", "pipe"]))
        writer = asyncio.create_task(lease.exec(["sh", "-c", "echo met > pipe"]))
        assert (await reader).stdout == b"met\n"
        assert (await writer).exit_code == 0
        many = [lease.exec(["echo", str(number)]) for number in range(20)]
        results = await asyncio.gather(*many)
        assert [int(result.stdout) for result in results] == list(range(20))


async def check_cancellation_ends_the_command(backend: Backend) -> None:
    """A cancelled `exec` leaves no process, and the lease goes on."""
    mark = f"mark-{uuid.uuid4().hex}"
    async with await backend.lease() as lease:
        argv = ["python3", "-I", "-S", "-c", "open('up', 'w'); import time; time.sleep(60)", mark]
        running = asyncio.create_task(lease.exec(argv, timeout=60))
        await _wait_for_file(lease, "up")
        running.cancel()
        outcome = (await asyncio.gather(running, return_exceptions=True))[0]
        assert isinstance(outcome, asyncio.CancelledError), outcome
        if sys.platform == "linux":
            await expect_gone(lease, mark)
        assert (await lease.exec(["true"])).exit_code == 0


async def _wait_for_file(lease: Lease, path: str) -> None:
    script = f"until test -e {path}; do :; done"
    assert (await lease.exec(["sh", "-c", script], timeout=20)).exit_code == 0


async def check_limits_hold_for_each_process(backend: Backend) -> None:
    """Address space, file size and descriptors are bounded; the slot lives on."""
    limits = backend.capabilities.limits
    async with await backend.lease() as lease:
        if sys.platform == "linux":
            bomb = await run_python(lease, f"bytearray({limits.memory_bytes + 1})")
            assert b"MemoryError" in bomb.stderr, bomb
        code = f"import os; print(os.truncate(os.open('f', 66), {limits.file_bytes + 1}))"
        large = await run_python(lease, code)
        assert large.exit_code in (1, 128 + 25), large
        code = f"import os; [os.dup(0) for _ in range({limits.open_files + 1})]"
        assert b"Too many open files" in (await run_python(lease, code)).stderr
        assert (await lease.exec(["sh", "-c", "ulimit -c"])).stdout == b"0\n"


CHECKS = (
    check_outcomes_of_commands_are_values,
    check_argv_reaches_the_program_unchanged,
    check_commands_that_mean_nothing_are_refused,
    check_standard_input_is_delivered_and_ends,
    check_environment_is_small_and_extendable,
    check_working_directory,
    check_python_is_there,
    check_output_is_bounded_and_exact,
    check_timeout_ends_the_command_and_keeps_its_output,
    check_timeout_ends_the_whole_tree,
    check_background_processes_live_until_killed,
    check_commands_of_one_lease_run_at_the_same_time,
    check_cancellation_ends_the_command,
    check_limits_hold_for_each_process,
)
