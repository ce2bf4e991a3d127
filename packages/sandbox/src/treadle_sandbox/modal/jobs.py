"""Background commands of a Modal sandbox.

A job lives in the sandbox; what it writes is read by this process as it comes, and the last bytes
of each stream are kept here. Another client can't find it.
"""

import asyncio
import errno
import time
from collections.abc import AsyncIterator

from modal.container_process import ContainerProcess

from treadle_sandbox.errors import (
    InvalidCommandError,
    JobNotFoundError,
    SlotFileError,
    SlotLostError,
)
from treadle_sandbox.modal.failures import slot_boundary
from treadle_sandbox.modal.output import Window
from treadle_sandbox.modal.process import Consumer, Processes, feed, read_both
from treadle_sandbox.records import JobState, OutputChunk

_PIECE = 65_536
_DRAIN = 1.0
_KILL_PAUSE, _KILL_TIMEOUT = 0.2, 30.0


class ModalJob:
    """A command in the background. `ModalLease.start` makes it."""

    def __init__(
        self,
        name: str,
        process: "ContainerProcess[bytes]",
        processes: Processes,
        *,
        mark: str,
        keep: int,
        timeout: float | None,
    ) -> None:
        self._name = name
        self._process = process
        self._processes = processes
        self._mark = mark
        self._timeout = timeout
        self._windows = {"stdout": Window(keep), "stderr": Window(keep)}
        self._started = time.monotonic()
        self._seconds: float | None = None
        self._code: int | None = None
        self._timed_out = False
        self._lost: Exception | None = None
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def id(self) -> str:
        """Name by which `ModalLease.job` finds it again."""
        return self._name

    async def follow(self) -> None:
        """Read its streams and wait for its end; the lease runs this beside its calls."""
        reading = asyncio.ensure_future(
            read_both(self._process, self._taker("stdout"), self._taker("stderr"))
        )
        try:
            with slot_boundary(self._processes.name):
                try:
                    async with asyncio.timeout(self._timeout):
                        self._code = await self._process.wait.aio()
                except TimeoutError:
                    self._timed_out, self._code = True, 124
                    await self._processes.kill(self._mark)
            await asyncio.wait({reading}, timeout=_DRAIN)
        except SlotLostError as error:
            self._lost, self._code = error, 137
        finally:
            self._seconds = time.monotonic() - self._started
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._ended.set()
            self._wake()

    def _taker(self, stream: str) -> Consumer:
        window = self._windows[stream]

        def take(piece: bytes) -> None:
            window.add(piece)
            self._wake()

        return take

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def forget(self) -> None:
        """Note that its slot was reset."""
        self._lost = JobNotFoundError(f"job {self._name} is gone: its slot was reset")

    async def state(self) -> JobState:
        """Return what is known now.

        Raises:
            JobNotFoundError: its slot was reset.
            SlotLostError: its sandbox is gone.
        """
        if self._lost is not None:
            raise self._lost
        return JobState(
            id=self._name,
            running=self._code is None,
            exit_code=self._code,
            timed_out=self._timed_out,
            stdout_bytes=self._windows["stdout"].total,
            stderr_bytes=self._windows["stderr"].total,
            seconds=(time.monotonic() - self._started if self._seconds is None else self._seconds),
        )

    async def wait(self, timeout: float | None = None) -> JobState:
        """Return the state when the job has ended, or after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            return await self.state()
        return await self.state()

    async def read(
        self, stream: str = "stdout", offset: int = 0, *, limit: int = 1_000_000, wait: float = 0.0
    ) -> OutputChunk:
        """Return what was written from `offset` on; see `treadle_sandbox.Job.read`."""
        window = self._windows.get(stream)
        if window is None:
            raise InvalidCommandError(f"stream is {stream!r}: it must be stdout or stderr")
        if wait > 0:
            try:
                async with asyncio.timeout(wait):
                    while window.total <= offset and not self._ended.is_set():
                        await self._changed.wait()
            except TimeoutError:
                pass
        first = window.first(offset)
        return OutputChunk(stream=stream, offset=first, data=window.read(offset, limit))

    async def output(self, stream: str = "stdout", offset: int = 0) -> AsyncIterator[OutputChunk]:
        """Yield pieces as they are written, until the job has ended."""
        while True:
            ended = self._ended.is_set()
            chunk = await self.read(stream, offset, limit=_PIECE, wait=0 if ended else 5.0)
            if chunk.data:
                offset = chunk.offset + len(chunk.data)
                yield chunk
            elif ended:
                return

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Write to its standard input; `end` closes it."""
        async with self._writing:
            try:
                with slot_boundary(self._processes.name):
                    await feed(self._process, data, end=end)
            except (ValueError, SlotLostError) as error:
                if isinstance(error, SlotLostError) and self._code is None:
                    raise
                raise SlotFileError(errno.EPIPE, "its standard input is closed", self.id) from error

    async def kill(self, signal: int = 9) -> None:
        """Signal the job; signal 9 ends everything below it too."""
        if self._code is not None:
            return
        if signal == 9:
            await self._end()
        else:
            await self._processes.signal(self._mark, signal)

    async def _end(self) -> None:
        """Kill until it has ended: a command that Modal has yet to start can't be seen."""
        try:
            async with asyncio.timeout(_KILL_TIMEOUT):
                while not self._ended.is_set():
                    await self._processes.kill(self._mark)
                    await self.wait(_KILL_PAUSE)
        except TimeoutError:
            raise SlotLostError(f"job {self.id} doesn't end; take a new lease") from None
