"""An engine as a child process: started in a group of its own, waited for, stopped with all it has.

Its output goes to a file. Stopping asks the engine first (SIGTERM), which stops its own workers;
what is left of the group is killed.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from treadle_agent_loop.errors import LaunchError
from treadle_agent_loop.launch.command import EngineCommand

_POLL = 0.5
_TAIL = 65_536


class EngineProcess:
    """One engine; an async context manager."""

    def __init__(self, command: EngineCommand, *, log: Path, grace: float = 30.0) -> None:
        """`grace` is how many seconds it has to stop before it is killed."""
        self.command = command
        self.log = log
        self.grace = grace
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.command.argv,
                env=os.environ | self.command.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the engine and everything it started; safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.grace):
                await process.wait()
        with contextlib.suppress(ProcessLookupError):  # nothing was left behind
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def wait_ready(self, url: str, progress: Callable[[str], None]) -> None:
        """Wait until `url` answers 200; `progress` gets the last line of the log now and then.

        Raises:
            LaunchError: the engine ended before that.
        """
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while not await _answers(session, url):
                if self._ended():
                    raise LaunchError(self.epitaph())
                progress(self.last_line())
                await asyncio.sleep(_POLL)

    async def wait_ended(self) -> None:
        """Wait until the engine ends by itself."""
        if self._process is not None:
            await self._process.wait()

    def epitaph(self) -> str:
        """Say in one line how the engine ended."""
        code = self._process.returncode if self._process is not None else None
        return f"the engine ended with status {code}: {self.last_line(telling=True)} ({self.log})"

    def last_line(self, *, telling: bool = False) -> str:
        """Return the last line of the log; `telling` prefers the last one that names an error."""
        with self.log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            text = file.read().decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if "error:" in line.lower()] if telling else []
        return (errors or lines or [""])[-1][-300:]

    def _ended(self) -> bool:
        return self._process is None or self._process.returncode is not None


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
