"""The server as a child process, for tests and for programs that want a model without any set-up.

It listens on a free port of this machine, gets no environment but what Python needs, and dies with
its parent: it holds the other end of a pipe that closes with the parent, however the parent ends.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from treadle_embedded.errors import ServerStartError
from treadle_embedded.location import MODEL_NAME

_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "PYTHONPATH",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
)
_ANNOUNCEMENT = b"listening on "


class EmbeddedServer:
    """A running server. Use as `async with EmbeddedServer() as server`."""

    model = MODEL_NAME
    """The name to send as `model`."""

    def __init__(
        self,
        *,
        port: int = 0,
        token_features: bool = True,
        rows: int = 16,
        bundle: Path | None = None,
        start_timeout: float = 60.0,
        stop_timeout: float = 5.0,
    ) -> None:
        """Prepare; nothing runs before `start`. Times in seconds; `bundle`: another model's."""
        self._arguments = ["serve", "--port", str(port), "--rows", str(rows), "--stop-with-stdin"]
        if bundle is not None:
            self._arguments += ["--bundle", str(bundle)]
        if not token_features:
            self._arguments.append("--no-token-features")
        self._start_timeout, self._stop_timeout = start_timeout, stop_timeout
        self._process: Process | None = None
        self._errors: deque[bytes] = deque(maxlen=50)
        self._drain: asyncio.Task[None] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`"""
        return self._url

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`, what OpenAI clients call the base URL."""
        return f"{self._url}/v1"

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return self._process.pid if self._process else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.shield(self.aclose())

    async def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            ServerStartError: it ended, or didn't listen in time.
        """
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "treadle_embedded", *self._arguments,
            stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        )  # fmt: skip
        self._drain = asyncio.create_task(self._collect_errors(self._process))
        try:
            async with asyncio.timeout(self._start_timeout):
                line = await _reader(self._process.stdout).readline()
        except TimeoutError:
            await self.aclose()
            raise ServerStartError(
                f"the embedded server didn't listen within {self._start_timeout} s"
            ) from None
        except asyncio.CancelledError:
            await asyncio.shield(self.aclose())
            raise
        if not line.startswith(_ANNOUNCEMENT):
            await self.aclose()
            raise ServerStartError(f"the embedded server ended at its start: {self._last_error()}")
        self._url = line.removeprefix(_ANNOUNCEMENT).decode().strip()

    async def aclose(self) -> None:
        """Stop the process: politely, then by force. Harmless when done twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(self._stop_timeout):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._drain is not None:
            await self._drain

    async def _collect_errors(self, process: Process) -> None:
        while line := await _reader(process.stderr).readline():
            self._errors.append(line)

    def _last_error(self) -> str:
        lines = [line.decode(errors="replace").strip() for line in self._errors]
        return lines[-1] if lines else "it said nothing"


def _reader(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise ServerStartError("the embedded server has no output pipe")
    return stream
