"""A workspace for tests: a temporary folder on this machine, real processes, no isolation.

Never give it what a real model wrote: nothing keeps a command inside the folder. It satisfies
`Workspace`.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_MARK = "TREADLE_HOST_WORKSPACE"
"""A variable by which the processes of a workspace are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCommandResult:
    """What one finished command left."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    truncated: bool


class HostWorkspace:
    """A temporary folder with commands and files; deleted on close."""

    isolation = "none"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="treadle-test-"))
        self.running = 0
        """Commands running now."""
        self._changed = asyncio.Condition()

    @property
    def workdir(self) -> str:
        """The folder's path."""
        return str(self._folder)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End what still runs and delete the folder; safe to call twice."""
        # One thread that runs to its end: cancelling here must not leave the folder.
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        _end_processes(f"{_MARK}={self._folder}".encode())
        shutil.rmtree(self._folder, ignore_errors=True)

    async def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float = 30.0,
        output_limit: int = 1_000_000,
    ) -> HostCommandResult:
        """Run one command in a process group of its own.

        What it leaves in that group ends with the call, daemons with the workspace (on Linux).
        """
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._folder / (workdir or "."),
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                _MARK: str(self._folder),
                **(env or {}),
            },
            start_new_session=True,
        )
        await self._count(1)
        talk = asyncio.ensure_future(process.communicate(stdin))
        timed_out = False
        try:
            done, _ = await asyncio.wait([talk], timeout=timeout)
            timed_out = not done
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = await asyncio.shield(talk)
            await asyncio.shield(self._count(-1))
        code = process.returncode or 0
        return HostCommandResult(
            exit_code=124 if timed_out else (128 - code if code < 0 else code),
            stdout=stdout[:output_limit],
            stderr=stderr[:output_limit],
            timed_out=timed_out,
            truncated=max(len(stdout), len(stderr)) > output_limit,
        )

    async def wait_running(self, count: int) -> None:
        """Wait until exactly `count` commands are running."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.running == count)

    async def _count(self, change: int) -> None:
        async with self._changed:
            self.running += change
            self._changed.notify_all()

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError, and OSError for more than `limit`."""
        data = await asyncio.to_thread((self._folder / path).read_bytes)
        if len(data) > limit:
            raise OSError(errno.EFBIG, f"more than the limit of {limit}", path)
        return data

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file and create its parent folders."""
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(target.write_bytes, data)


def _end_processes(mark: bytes) -> None:
    """Kill the processes whose environment holds a mark."""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes().split(b"\0"):
                os.kill(int(entry.parent.name), signal.SIGKILL)
        except OSError:
            continue  # gone, or another user's
