"""One command in a Modal sandbox: its start, its streams, its end.

`run` reads both streams while it waits, ends the command's whole tree at the deadline or when it is
cancelled, and keeps what was written up to then. A daemon that holds the streams open doesn't hold
up its command.
"""

import asyncio
import math
import secrets
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import modal
from modal.container_process import ContainerProcess
from modal.io_streams import StreamReader

from treadle_sandbox.errors import SlotLostError
from treadle_sandbox.modal import scripts
from treadle_sandbox.modal.failures import slot_boundary
from treadle_sandbox.modal.output import Kept
from treadle_sandbox.modal.teardown import finish
from treadle_sandbox.records import Limits

Consumer = Callable[[bytes], None]

STDIN_PIECE = 4 << 20
_DRAIN = 1.0
_BACKSTOP = 2
_DRAIN_KILLED = 10.0
_KILL_TIMEOUT = 20.0
_ARGV_MOST = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    timed_out: bool
    stdout: Kept
    stderr: Kept
    seconds: float
    mark: str
    """The name under which it ran, unguessable."""


class _Outcome(NamedTuple):
    code: int
    timed_out: bool


class Processes:
    """Starts and ends commands in one sandbox."""

    def __init__(self, name: str, sandbox: modal.Sandbox, limits: Limits) -> None:
        self.name = name
        self._sandbox = sandbox
        self._limits = (
            str(limits.memory_bytes >> 10),
            str(limits.file_bytes >> 9),
            str(limits.open_files),
            str(limits.cpu_seconds),
        )

    async def launch(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        workdir: str,
        mark: str,
        timeout: float | None = None,
    ) -> "ContainerProcess[bytes]":
        """Start a command under the slot's limits; Modal ends it some seconds after `timeout`, in
        case nobody else does.
        """
        words = ["sh", "-c", scripts.LAUNCH, "sh", mark, workdir, *self._limits, *argv]
        return await self.start(
            words, env, timeout=None if timeout is None else math.ceil(timeout) + _BACKSTOP
        )

    async def _launch_any(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        workdir: str,
        mark: str,
        timeout: float,
    ) -> "ContainerProcess[bytes]":
        """Start a command whose words may be more than Modal takes at once."""
        if sum(len(word.encode()) for word in argv) > _ARGV_MOST:
            text = f'rm -f -- "$0"; exec {shlex.join(argv)}\n'
            await self.script(scripts.KEEP_WORDS, mark, stdin=text.encode())
            argv = ["sh", f"{scripts.CALLS}/{mark}.words"]
        return await self.launch(argv, env=env, workdir=workdir, mark=mark, timeout=timeout)

    async def start(
        self, argv: Sequence[str], env: Mapping[str, str], *, timeout: int | None = None
    ) -> "ContainerProcess[bytes]":
        """Start a program as it is."""
        with slot_boundary(self.name):
            return await self._sandbox.exec.aio(*argv, env={**env}, text=False, timeout=timeout)

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes,
        env: Mapping[str, str],
        workdir: str,
        timeout: float,
        output_limit: int,
    ) -> Ended:
        """Run a command to its end, its deadline, or its cancellation."""
        mark = new_mark()
        started = time.monotonic()
        stdout, stderr = Kept(output_limit), Kept(output_limit)
        launching = asyncio.ensure_future(
            self._launch_any(argv, env=env, workdir=workdir, mark=mark, timeout=timeout)
        )
        try:
            process = await asyncio.shield(launching)
            feeding = asyncio.ensure_future(feed(process, stdin, end=True))
            reading = asyncio.ensure_future(read_both(process, stdout.add, stderr.add))
            try:
                outcome = await self._wait(process, reading, timeout, mark)
            finally:
                feeding.cancel()
                reading.cancel()
                await asyncio.gather(feeding, reading, return_exceptions=True)
            return _ended(*outcome, stdout, stderr, started, mark)
        except asyncio.CancelledError:
            await finish(self._abandon(launching, mark))
            raise

    async def _wait(
        self,
        process: "ContainerProcess[bytes]",
        reading: "asyncio.Future[None]",
        timeout: float,
        mark: str,
    ) -> "_Outcome":
        timed_out = False
        with slot_boundary(self.name):
            try:
                async with asyncio.timeout(timeout):
                    code = await process.wait.aio()
            except TimeoutError:
                timed_out, code = True, 124
                await self._end(process, mark)
            await asyncio.wait({reading}, timeout=_DRAIN_KILLED if timed_out else _DRAIN)
            if reading.done() and not timed_out:
                reading.result()
        return _Outcome(code, timed_out)

    async def _end(self, process: "ContainerProcess[bytes]", mark: str) -> None:
        """End a command that is over its time. One that leaves no room for another process, not
        even for the one that would end it, is ended by Modal first.
        """
        try:
            await self.kill(mark)
        except SlotLostError:
            try:
                async with asyncio.timeout(_KILL_TIMEOUT):
                    await process.wait.aio()
            except TimeoutError:
                raise SlotLostError(
                    f"a command of Modal sandbox {self.name} can't be ended; take a new lease"
                ) from None
            await self.kill_all()

    async def _abandon(
        self, launching: "asyncio.Future[ContainerProcess[bytes]]", mark: str
    ) -> None:
        await asyncio.wait({launching}, timeout=_KILL_TIMEOUT)
        if launching.done() and not launching.cancelled() and launching.exception() is None:
            try:
                await self.kill(mark)
            except SlotLostError:
                return

    async def kill(self, mark: str) -> None:
        """End every process with a mark, or, when they multiply faster than they can be picked
        out, every process of the sandbox.

        Raises:
            SlotLostError: one can't be ended.
        """
        if await self.script(scripts.KILL, mark) != 0:
            await self.kill_all()

    async def signal(self, mark: str, number: int) -> None:
        """Send a signal to every process with a mark."""
        await self._helper(scripts.SIGNAL, mark, str(number))

    async def kill_all(self) -> None:
        """End every process of the sandbox but its first."""
        await self._helper(scripts.KILL_ALL)

    async def script(
        self, text: str, *words: str, timeout: float = _KILL_TIMEOUT, stdin: bytes = b""
    ) -> int:
        """Run one of our own scripts outside the slot's limits; return its exit code.

        Raises:
            SlotLostError: it didn't end in time.
        """
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                process = await self.start(["sh", "-c", text, "sh", *words], {})
                with slot_boundary(self.name):
                    await feed(process, stdin, end=True)
                    return await process.wait.aio()
        except TimeoutError:
            if not deadline.expired():
                raise
            raise SlotLostError(
                f"Modal sandbox {self.name} doesn't answer within {timeout:g} s; take a new lease"
            ) from None

    async def _helper(self, text: str, *words: str) -> None:
        if await self.script(text, *words) not in (0, 137):
            raise SlotLostError(
                f"a process of Modal sandbox {self.name} can't be ended; take a new lease"
            )


def new_mark() -> str:
    """Return a name for one call, unguessable."""
    return secrets.token_hex(12)


async def read_both(process: "ContainerProcess[bytes]", stdout: Consumer, stderr: Consumer) -> None:
    """Read both streams of a command to their ends."""
    async with asyncio.TaskGroup() as group:
        group.create_task(read_stream(process.stdout, stdout))
        group.create_task(read_stream(process.stderr, stderr))


async def feed(process: "ContainerProcess[bytes]", data: bytes, *, end: bool) -> None:
    """Write to a command's standard input, in pieces that Modal accepts."""
    for start in range(0, len(data), STDIN_PIECE):
        process.stdin.write(data[start : start + STDIN_PIECE])
        await process.stdin.drain.aio()
    if end:
        process.stdin.write_eof()
        await process.stdin.drain.aio()


async def read_stream(stream: "StreamReader[bytes]", take: Consumer) -> None:
    """Hand on what a stream brings, until it ends."""
    async for piece in stream:
        take(piece)


def _ended(
    code: int, timed_out: bool, stdout: Kept, stderr: Kept, started: float, mark: str
) -> Ended:
    return Ended(
        code=code,
        timed_out=timed_out,
        stdout=stdout,
        stderr=stderr,
        seconds=time.monotonic() - started,
        mark=mark,
    )
