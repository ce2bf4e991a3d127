"""A pool of warm math-verify processes with a hard time limit for each comparison.

A worker that runs into the limit, or whose caller is cancelled, is killed and replaced by a new
one at the next comparison. Workers end by themselves when this process dies (their input ends), so
none is ever left behind. Nothing here blocks the event loop.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from treadle_envs.errors import ScorerError

_WORKER = Path(__file__).with_name("verify_worker.py")
_START_LIMIT = 60.0
"""Seconds a worker may take to import math-verify on a loaded machine."""
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "TMPDIR")


class VerifyPool:
    """Compares answers with math-verify in worker processes. An async context manager.

    `size` is the number of processes, `limit` the seconds one comparison may take.
    """

    def __init__(self, *, size: int = 2, limit: float = 5.0) -> None:
        self._limit = limit
        self._idle: asyncio.LifoQueue[_Worker | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._idle.put_nowait(None)
        self._live: set[_Worker] = set()
        self._closed = False

    @property
    def pids(self) -> frozenset[int]:
        """Ids of the worker processes that run now."""
        return frozenset(worker.pid for worker in self._live)

    async def compare(self, gold: str, answer: str) -> bool | None:
        """Whether math-verify finds the two equal; None when it can't tell within the limit.

        Raises:
            ScorerError: no worker can be started, or the pool is closed.
        """
        if self._closed:
            raise ScorerError("the scorer is closed: open a new one to score more answers")
        worker = await self._idle.get()
        try:
            if worker is None:
                worker = await self._start()
            try:
                async with asyncio.timeout(self._limit):
                    return await worker.compare(gold, answer)
            except (TimeoutError, EOFError):
                await self._kill(worker)
                worker = None
                return None
            except asyncio.CancelledError:
                await self._kill(worker)
                worker = None
                raise
        finally:
            self._idle.put_nowait(worker)

    async def warm(self) -> None:
        """Start a worker now, so that the first comparison doesn't wait for its imports."""
        await self.compare("1", "1")

    async def aclose(self) -> None:
        """Kill all workers; safe to call twice."""
        self._closed = True
        for worker in tuple(self._live):
            await self._kill(worker)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _start(self) -> "_Worker":
        worker = await _Worker.spawn()
        self._live.add(worker)
        try:
            async with asyncio.timeout(_START_LIMIT):
                await worker.read()
        except BaseException as error:
            await self._kill(worker)
            if isinstance(error, (TimeoutError, EOFError)):
                raise ScorerError(
                    f"the math-verify worker didn't start within {_START_LIMIT:g} s: try "
                    f"`{sys.executable} -c 'import math_verify'`"
                ) from error
            raise
        return worker

    async def _kill(self, worker: "_Worker") -> None:
        self._live.discard(worker)
        await worker.kill()


class _Worker:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def spawn(cls) -> Self:
        """Start a process that imports math-verify."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                str(_WORKER),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=inherited,
                start_new_session=True,
            )
        )

    async def compare(self, gold: str, answer: str) -> bool | None:
        """Ask for one comparison."""
        assert self._process.stdin is not None
        request = json.dumps({"gold": gold, "answer": answer}).encode() + b"\n"
        try:
            self._process.stdin.write(request)
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise EOFError from error
        return (await self.read()).get("equal")

    async def read(self) -> dict[str, bool | None]:
        """Read one answer line. Raises EOFError when the process is gone."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    async def kill(self) -> None:
        """Kill the process and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
