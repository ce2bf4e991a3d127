"""Sessions and background jobs of a server elsewhere."""

import time
from collections.abc import AsyncGenerator

from treadle_sandbox import wire
from treadle_sandbox.counters import Counters
from treadle_sandbox.records import ExecResult, JobState, OutputChunk
from treadle_sandbox.remote.calls import LeaseCalls, read_json

_POLL = 20.0


class RemoteSession:
    """A persistent shell. `RemoteLease.session` makes it."""

    def __init__(self, calls: LeaseCalls, name: str, restarts: int, counters: Counters) -> None:
        self._calls = calls
        self._name = name
        self._restarts = restarts
        self._counters = counters
        self._target = f"/sessions/{name}"

    @property
    def name(self) -> str:
        """Its name in the lease."""
        return self._name

    @property
    def restarts(self) -> int:
        """How often the shell had to be started anew, as of the last call."""
        return self._restarts

    async def run(
        self, script: str, *, timeout: float = 30.0, output_limit: int = 1_000_000
    ) -> ExecResult:
        """Run shell text in the session; see `treadle_sandbox.Session.run`."""
        fields = {"script": script, "timeout": timeout, "output_limit": output_limit}
        target = f"{self._target}/run"
        with self._counters.command():
            reply = await self._calls.change(target, wire.encode_command(fields), timeout=timeout)
        result, self._restarts = wire.decode_result(reply.body)
        self._counters.timeouts += result.timed_out
        return result

    async def aclose(self) -> None:
        """End the shell and what it started. May be called again."""
        await self._calls.change(self._target, method=b"DELETE")


class RemoteJob:
    """A command in the background. `RemoteLease.start` and `RemoteLease.job` make it."""

    def __init__(self, calls: LeaseCalls, name: str) -> None:
        self._calls = calls
        self._name = name
        self._target = f"/jobs/{name}"

    @property
    def id(self) -> str:
        """Name by which `Lease.job` finds it again."""
        return self._name

    async def state(self) -> JobState:
        """Return what is known now."""
        return JobState(**read_json(await self._calls.get(self._target)))

    async def wait(self, timeout: float | None = None) -> JobState:
        """Return the state when the job has ended, or after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _POLL if end is None else min(_POLL, max(0.0, end - time.monotonic()))
            reply = await self._calls.get(self._target, timeout=left, wait=left)
            state = JobState(**read_json(reply))
            if not state.running or (end is not None and time.monotonic() >= end):
                return state

    async def read(
        self, stream: str = "stdout", offset: int = 0, *, limit: int = 1_000_000, wait: float = 0.0
    ) -> OutputChunk:
        """Return what was written to a stream from `offset` on; see `treadle_sandbox.Job.read`."""
        reply = await self._calls.get(
            f"{self._target}/output",
            timeout=wait,
            stream=stream,
            offset=offset,
            limit=limit,
            wait=wait,
        )
        begin = reply.header("treadle-offset") or offset
        return OutputChunk(stream=stream, offset=int(begin), data=reply.body)

    async def output(
        self, stream: str = "stdout", offset: int = 0
    ) -> AsyncGenerator[OutputChunk, None]:
        """Yield pieces as they are written, until the job has ended."""
        while True:
            chunk = await self.read(stream, offset, wait=_POLL)
            if chunk.data:
                offset = chunk.offset + len(chunk.data)
                yield chunk
                continue
            state = await self.state()
            if not state.running and offset >= getattr(state, f"{stream}_bytes"):
                return

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Write to its standard input; `end` closes it."""
        await self._calls.change(f"{self._target}/input", data, end=int(end))

    async def kill(self, signal: int = 9) -> None:
        """Signal the job's process group; signal 9 ends everything below it too."""
        await self._calls.post_json(f"{self._target}/kill", {"signal": signal})
