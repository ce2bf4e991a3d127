"""Checks of `session` and `shell`: what is kept, what is not, and what a command may do to its
shell.
"""

import asyncio
import sys
import uuid

from treadle_sandbox.backend import Backend, Session
from treadle_sandbox.errors import InvalidCommandError
from treadle_sandbox.testing.expectations import expect_error, expect_gone

_HOSTILE = (
    "eval() { :; }; printf() { :; }; exit() { :; }; read() { :; }; false",
    "enable -n printf; enable -n :; enable -n test; PATH=; false",
    "PROMPT_COMMAND='exit 7'; trap 'true' DEBUG; false",
    "trap 'true' ERR; trap 'true' EXIT; (exit 1)",
    "IFS=1; set -u; shopt -s extdebug; false",
    "exec 3>&1 9>&1 10>&1 255<&-; false",
)


async def check_a_session_keeps_its_state(backend: Backend) -> None:
    """Variables, functions, the working directory and options live on; streams stay apart."""
    async with await backend.lease() as lease:
        session = await lease.session()
        script = 'mkdir -p a && cd a && X=1 && export Y=2 && greet() { echo "hi $1"; }'
        assert (await session.run(script)).exit_code == 0
        result = await session.run('pwd -P; echo "$X"; env | grep ^Y=; greet you; echo no >&2')
        expected = f"{lease.workdir}/a\n1\nY=2\nhi you\n"
        assert (result.stdout.decode(), result.stderr) == (expected, b"no\n"), result
        assert await lease.session() is session or (await lease.session()).name == session.name
        other = await lease.session("other")
        assert (await other.run('echo "[$X]"; pwd -P')).stdout.decode() == f"[]\n{lease.workdir}\n"
        assert session.restarts == other.restarts == 0
        await session.aclose()
        await session.aclose()
        assert (await (await lease.session()).run('echo "[$X]"')).stdout == b"[]\n"


async def check_outcomes_in_a_session_are_values(backend: Backend) -> None:
    """Exit codes, syntax errors, unfinished text, bytes and long commands give exact results."""
    async with await backend.lease() as lease:
        session = await lease.session()
        assert (await session.run("(exit 7)")).exit_code == 7
        assert (await session.run("sh -c 'kill -9 $$'")).exit_code == 137
        assert (await session.run("no-such-program")).exit_code == 127
        for broken in ("if true", "echo 'open", "fi", "echo $(", "for x in"):
            result = await session.run(broken)
            assert result.exit_code != 0, (broken, result)
            assert result.stderr, (broken, result)
        heredoc = await session.run("cat <<END\nline\n  'quoted' $((1 + 1))\n")
        assert heredoc.stdout == b"line\n  'quoted' 2\n", heredoc
        assert (await session.run("cat; wc -c </dev/stdin")).stdout.strip() == b"0"
        long = await session.run("X='" + "é" * 500_000 + "'; echo ${#X}", timeout=60)
        assert long.stdout == b"500000\n", long
        octal = "".join(f"\\{number:03o}" for number in range(256))
        assert (await session.run(f"printf '{octal}'")).stdout == bytes(range(256))
        await expect_error(InvalidCommandError, session.run("echo a\0b"))
        await expect_error(InvalidCommandError, session.run(""))
        await expect_error(InvalidCommandError, session.run("true", timeout=0))
        assert session.restarts == 0


async def check_hostile_text_cannot_change_the_status(backend: Backend) -> None:
    """Redefined builtins, traps, options and descriptors: the exit code is still true."""
    async with await backend.lease() as lease:
        for number, script in enumerate(_HOSTILE):
            session = await lease.session(f"hostile-{number}")
            result = await session.run(script, timeout=5)
            assert result.exit_code == 1, (script, result)
            assert not result.timed_out, (script, result)
            after = await session.run("builtin echo fine", timeout=5)
            assert b"fine" in after.stdout, (script, after)


async def check_a_lost_shell_is_replaced(backend: Backend) -> None:
    """`exit`, `set -e`, `exec` and a kill end in results; the next call has a new shell."""
    async with await backend.lease() as lease:
        session = await lease.session()
        endings = (
            ("X=1; echo out; exit 3", 3),
            ("set -e; echo out; false; echo more", 1),
            ("echo out; exec sh -c 'exit 5'", 5),
            ("echo out; kill -9 $$", 137),
        )
        for restarts, (script, code) in enumerate(endings):
            result = await session.run(script)
            assert (result.exit_code, result.stdout) == (code, b"out\n"), (script, result)
            after = await session.run('echo "[$X]"')
            assert (after.stdout, after.exit_code) == (b"[]\n", 0), (script, after)
            assert session.restarts == restarts + 1, (script, session.restarts)
        closed = await session.run("echo out; exec 1>&-; true")
        assert closed.stdout == b"out\n", closed
        assert (await session.run("echo again")).stdout == b"again\n"


async def check_timeouts_in_a_session(backend: Backend) -> None:
    """A timeout keeps the output so far, whatever the command ignores, and ends its tree."""
    mark = f"mark-{uuid.uuid4().hex}"
    async with await backend.lease() as lease:
        session = await lease.session()
        for script in (
            "trap '' TERM INT HUP; echo before; while :; do sleep 60; done",
            f"echo before; setsid sh -c 'trap \"\" TERM; sleep 60' {mark} & wait",
            "echo before; kill -STOP $$; echo after",
        ):
            result = await session.run(script, timeout=0.7)
            assert (result.exit_code, result.timed_out) == (124, True), (script, result)
            assert result.stdout == b"before\n", (script, result)
            assert (await session.run("echo on")).stdout == b"on\n"
        if sys.platform == "linux":
            await expect_gone(lease, mark)


async def check_late_output_stays_out_of_the_next_call(backend: Backend) -> None:
    """What a background process writes after its call returned is in no later result."""
    async with await backend.lease() as lease:
        session = await lease.session()
        flood = "(while :; do echo late; echo late >&2; sleep 0.01; done) & echo started"
        assert b"started\n" in (await session.run(flood)).stdout
        for _ in range(3):
            result = await session.run("sleep 0.1; echo clean")
            assert (result.stdout, result.stderr) == (b"clean\n", b""), result
        assert (await session.run("kill %1 2>/dev/null || kill $!; echo $?")).exit_code == 0


async def check_a_cancelled_session_goes_on(backend: Backend) -> None:
    """Cancelling a call ends it; calls of one session run one after another."""
    async with await backend.lease() as lease:
        session = await lease.session()
        running = asyncio.create_task(session.run("sleep 60", timeout=60))
        await asyncio.wait({running}, timeout=0.2)
        running.cancel()
        outcome = (await asyncio.gather(running, return_exceptions=True))[0]
        assert isinstance(outcome, asyncio.CancelledError), outcome
        assert (await session.run("echo on")).stdout == b"on\n"
        await _count_together(session)


async def _count_together(session: Session) -> None:
    await session.run("N=0")
    results = await asyncio.gather(*(session.run("N=$((N + 1)); echo $N") for _ in range(20)))
    assert sorted(int(result.stdout) for result in results) == list(range(1, 21)), results


async def check_a_session_inherits_three_descriptors(backend: Backend) -> None:
    """Programs of a session get no descriptor but their standard streams."""
    if sys.platform != "linux":
        return
    async with await backend.lease() as lease:
        session = await lease.session()
        found = (await session.run("ls /proc/self/fd")).stdout.split()
        assert set(found) <= {b"0", b"1", b"2", b"3"}, found
        alone = (await lease.exec(["ls", "/proc/self/fd"])).stdout.split()
        assert set(alone) <= {b"0", b"1", b"2", b"3"}, alone


async def check_a_fresh_shell_depends_on_nothing(backend: Backend) -> None:
    """`shell` gets its own state each time, with stdin, environment, directory and output."""
    async with await backend.lease() as lease:
        assert (await lease.shell("X=1; cd /; set -e; alias ls=false")).exit_code == 0
        await lease.write_file("below/file", b"")
        result = await lease.shell(
            'echo "[$X]$Y"; pwd -P; cat', stdin=b"input", env={"Y": "2"}, workdir="below"
        )
        assert result.stdout.decode() == f"[]2\n{lease.workdir}/below\ninput", result
        assert (await lease.shell("exit 9")).exit_code == 9
        slow = await lease.shell("echo before; sleep 60", timeout=0.5)
        assert (slow.exit_code, slow.stdout, slow.timed_out) == (124, b"before\n", True), slow
        many = await asyncio.gather(*(lease.shell(f"echo {number}") for number in range(20)))
        assert [int(result.stdout) for result in many] == list(range(20))
        await expect_error(InvalidCommandError, lease.shell("a\0b"))


CHECKS = (
    check_a_session_keeps_its_state,
    check_outcomes_in_a_session_are_values,
    check_hostile_text_cannot_change_the_status,
    check_a_lost_shell_is_replaced,
    check_timeouts_in_a_session,
    check_late_output_stays_out_of_the_next_call,
    check_a_cancelled_session_goes_on,
    check_a_session_inherits_three_descriptors,
    check_a_fresh_shell_depends_on_nothing,
)
