"""A real sandbox server in a process of its own, for tests."""

import asyncio
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from treadle_sandbox.errors import ServerStartError
from treadle_sandbox.remote import RemoteBackend

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 20.0


class ServerProcess:
    """`treadle-sandbox serve` on a free port of loopback, ended with the block.

    `options` are further words of its command line.
    """

    def __init__(self, *options: str, slots: int = 4, token: str | None = None) -> None:
        self._options = options
        self._slots = slots
        self.token = token or secrets.token_hex(16)
        self.address = ""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.address}"

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None, "use it in `async with`"
        return self._process.pid

    def backend(self, **options: float | str) -> RemoteBackend:
        """Return a client of it, not entered yet."""
        return RemoteBackend(self.url, token=self.token, **options)  # type: ignore[arg-type]

    async def __aenter__(self) -> Self:
        """Start it and wait until it listens. Raises ServerStartError."""
        self._folder = tempfile.TemporaryDirectory()
        place = Path(self._folder.name) / "port"
        words = ("serve", "--port", "0", "--port-file", str(place), "--slots", str(self._slots))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "treadle_sandbox", *words, *self._options),
            env={**os.environ, "TREADLE_SANDBOX_TOKEN": self.token},
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                while not place.exists():
                    if self._process.returncode is not None:
                        raise ServerStartError(f"it ended with {self._process.returncode}")
                    await asyncio.sleep(0.02)
        except BaseException:
            await self.stop()
            raise
        self.address = place.read_text(encoding="ascii").strip()
        return self

    async def wait(self, timeout: float = _STOP_TIMEOUT) -> int:
        """Return its exit status once it has ended."""
        assert self._process is not None
        async with asyncio.timeout(timeout):
            return await self._process.wait()

    def send_signal(self, number: int) -> None:
        """Send its process a signal."""
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)
        await self.wait()

    async def stop(self) -> None:
        """End it; leases have no time left."""
        if self._process is not None and self._process.returncode is None:
            for _ in range(2):
                self.send_signal(signal.SIGTERM)
            try:
                await self.wait()
            except TimeoutError:
                await self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
