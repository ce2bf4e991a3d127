"""The background jobs of `FakeBackend`."""

from collections.abc import AsyncIterator

from treadle_sandbox.records import ExecResult, JobState, OutputChunk


class FakeJob:
    """A background command that ended at once, as its answer says."""

    def __init__(self, name: str, result: ExecResult) -> None:
        self.id = name
        self._result = result

    async def state(self) -> JobState:
        """Return the end."""
        return JobState(
            id=self.id,
            running=False,
            exit_code=self._result.exit_code,
            timed_out=self._result.timed_out,
            stdout_bytes=len(self._result.stdout),
            stderr_bytes=len(self._result.stderr),
            seconds=self._result.seconds,
        )

    async def wait(self, timeout: float | None = None) -> JobState:
        """Return the end."""
        return await self.state()

    async def read(
        self, stream: str = "stdout", offset: int = 0, *, limit: int = 1_000_000, wait: float = 0.0
    ) -> OutputChunk:
        """Return what the answer holds."""
        data = self._result.stdout if stream == "stdout" else self._result.stderr
        return OutputChunk(stream=stream, offset=offset, data=data[offset : offset + limit])

    async def output(self, stream: str = "stdout", offset: int = 0) -> AsyncIterator[OutputChunk]:
        """Yield what the answer holds."""
        chunk = await self.read(stream, offset, limit=1 << 40)
        if chunk.data:
            yield chunk

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Take input, for nobody."""

    async def kill(self, signal: int = 9) -> None:
        """Do nothing: it ended."""
