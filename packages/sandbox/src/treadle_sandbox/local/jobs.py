"""A background job of a local lease."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from treadle_sandbox.errors import InvalidCommandError, SlotLostError
from treadle_sandbox.local.channel import Reply
from treadle_sandbox.local.contract import command_error
from treadle_sandbox.local.sessions import SlotAccess
from treadle_sandbox.records import JobState, OutputChunk
from treadle_sandbox.slot import frames

_TIMEOUT = 30.0
_WAIT_MOST = 3600.0
_STREAMS = ("stdout", "stderr")
_FIELDS = 7
_PIECE = 1_000_000


def read_states(text: bytes) -> tuple[JobState, ...]:
    """Read what a slot tells of its jobs; a slot isn't trusted to tell sense."""
    states: list[JobState] = []
    for line in text.splitlines():
        name, *words = line.decode("ascii", "replace").split()
        if len(words) != _FIELDS - 1 or not all(word.isdigit() for word in words):
            raise SlotLostError("the slot answered nonsense about its jobs; take a new lease")
        running, code, timed_out, output, errors, micros = map(int, words)
        states.append(
            JobState(
                id=name,
                running=bool(running),
                exit_code=None if running else code,
                timed_out=bool(timed_out),
                stdout_bytes=output,
                stderr_bytes=errors,
                seconds=micros / 1e6,
            )
        )
    return tuple(states)


class LocalJob:
    """A command in the background; `LocalLease.start` and `LocalLease.job` make it."""

    def __init__(self, lease: SlotAccess, name: str) -> None:
        self._lease = lease
        self._name = name

    @property
    def id(self) -> str:
        """Name by which `LocalLease.job` finds it again."""
        return self._name

    async def _ask(self, operation: str, timeout: float = _TIMEOUT, **values: Any) -> Reply:
        request = {"op": operation, "job": self._name, **values}
        reply = await self._lease.ask(request, timeout=timeout)
        if reply.error:
            raise command_error(reply.error, self._name)
        return reply

    async def state(self) -> JobState:
        """Return what is known now; see `treadle_sandbox.Job.state`."""
        return read_states((await self._ask("job")).first)[0]

    async def wait(self, timeout: float | None = None) -> JobState:
        """Return the state when the job has ended, or after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        end = float("inf") if timeout is None else loop.time() + timeout
        while True:
            left = min(max(end - loop.time(), 0.0), _WAIT_MOST)
            reply = await self._ask("job_wait", left + _TIMEOUT, wait=left)
            state = read_states(reply.first)[0]
            if not state.running or loop.time() >= end:
                return state

    async def read(
        self, stream: str = "stdout", offset: int = 0, *, limit: int = _PIECE, wait: float = 0.0
    ) -> OutputChunk:
        """Return what was written to a stream from `offset` on; see `treadle_sandbox.Job.read`."""
        return (await self._read(stream, offset, limit, wait))[0]

    async def _read(
        self, stream: str, offset: int, limit: int, wait: float
    ) -> tuple[OutputChunk, bool]:
        if stream not in _STREAMS or offset < 0 or limit < 1 or not 0 <= wait <= _WAIT_MOST:
            raise InvalidCommandError(
                f"can't read {limit!r} bytes of {stream!r} at {offset!r} within {wait!r} s: give "
                f"one of {', '.join(_STREAMS)}, an offset from 0, a limit from 1, and a wait up to "
                f"{_WAIT_MOST:g} s"
            )
        values = {"stream": stream, "offset": offset, "limit": limit, "wait": float(wait)}
        reply = await self._ask("job_read", wait + _TIMEOUT, **values)
        chunk = OutputChunk(stream=stream, offset=reply.stdout_bytes, data=reply.first)
        return chunk, bool(reply.flags & frames.ENDED)

    async def output(self, stream: str = "stdout", offset: int = 0) -> AsyncIterator[OutputChunk]:
        """Yield pieces as they are written, until the job has ended."""
        ended = False
        while not ended:
            chunk, ended = await self._read(stream, offset, _PIECE, _TIMEOUT)
            ended = ended and not chunk.data
            if chunk.data:
                offset = chunk.offset + len(chunk.data)
                yield chunk

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Write to its standard input; see `treadle_sandbox.Job.write`."""
        await self._ask("job_write", _WAIT_MOST, data=bytes(data), end=end)

    async def kill(self, signal: int = 9) -> None:
        """Signal the job's process group; signal 9 ends everything below it too."""
        await self._ask("job_kill", signal=int(signal))
