"""One command of the stand-in for Modal, run in the slot of its sandbox.

Most commands come with their whole standard input at once and are run to their end. One whose
input stays open is a background job of the slot, with live streams.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from treadle_sandbox.backend import Job, Lease
from treadle_sandbox.errors import SandboxError
from treadle_sandbox.records import ExecResult

_OUTPUT_MOST = 60_000_000
_PATIENCE = 0.05
_PIECE = 1 << 20


class Execution:
    """A command that Modal was asked to run."""

    def __init__(
        self,
        lease: Lease,
        argv: list[str],
        env: Mapping[str, str],
        workdir: str | None,
        timeout: int | None,
    ) -> None:
        self._lease = lease
        self._argv = argv
        self._env = env
        self._workdir = workdir
        self._timeout = timeout
        self._stdin = bytearray()
        self._complete = asyncio.Event()
        self._writing = asyncio.Lock()
        self._job: Job | None = None
        self._result: ExecResult | None = None
        self._known = asyncio.Event()
        self.task = asyncio.create_task(self._run())
        """Ends with the command; its result is the exit code."""

    async def _run(self) -> int:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._complete.wait()
        except TimeoutError:
            return await self._run_job()
        self._result = await self._lease.exec(
            self._argv,
            stdin=bytes(self._stdin),
            env=self._env,
            workdir=self._workdir,
            timeout=self._timeout or 3600,
            output_limit=_OUTPUT_MOST,
        )
        self._known.set()
        return self._result.exit_code

    async def _run_job(self) -> int:
        async with self._writing:
            self._job = await self._lease.start(
                self._argv,
                env=self._env,
                workdir=self._workdir,
                timeout=self._timeout,
                keep=_OUTPUT_MOST,
            )
            if self._stdin or self._complete.is_set():
                await self._feed(self._job, bytes(self._stdin))
        self._known.set()
        state = await self._job.wait()
        return state.exit_code or 0

    async def write(self, offset: int, data: bytes, *, end: bool) -> None:
        """Take input; a piece that came before is known by its offset."""
        async with self._writing:
            fresh = data[max(0, len(self._stdin) - offset) :]
            self._stdin += fresh
            if end:
                self._complete.set()
            if self._job is not None:
                await self._feed(self._job, fresh)

    async def _feed(self, job: Job, data: bytes) -> None:
        try:
            await job.write(data, end=self._complete.is_set())
        except SandboxError:
            return

    async def read(self, stream: str, offset: int) -> AsyncIterator[bytes]:
        """Yield what was written to a stream, as it comes."""
        known = asyncio.ensure_future(self._known.wait())
        await asyncio.wait({known, self.task}, return_when=asyncio.FIRST_COMPLETED)
        known.cancel()
        if self._job is not None:
            async for chunk in self._job.output(stream, offset):
                yield chunk.data
        elif self._result is not None:
            data = self._result.stdout if stream == "stdout" else self._result.stderr
            for start in range(offset, len(data), _PIECE):
                yield data[start : start + _PIECE]
