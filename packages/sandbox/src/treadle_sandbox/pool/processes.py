"""Sandbox servers as processes of this machine.

Each server is a session of its own, so that it outlives a driver that crashes, and has a folder
`<state>/servers/<name>` with its process id, its address and its log; by these another driver finds
it. Without a state folder they are in a temporary one and end with the provider.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from treadle_sandbox import errors
from treadle_sandbox.config import ProcessConfig
from treadle_sandbox.pool.boundary import finish
from treadle_sandbox.pool.command import TOKEN_VARIABLE, server_options
from treadle_sandbox.pool.owner import start_time
from treadle_sandbox.pool.provider import ServerAddress

_COMMAND = (sys.executable, "-m", "treadle_sandbox", "serve")
_POLL = 0.02
_SIGNALS = ((signal.SIGTERM, 0.2), (signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0))
"""The first lets a server end when it has no lease, the second also when it has."""
_LOG_TAIL = 2000
_BIRTH = 10.0
"""Seconds in which another driver must have noted the process that it started."""


class ProcessProvider:
    """Starts and ends `treadle-sandbox serve` processes."""

    kind = "processes"

    def __init__(self, config: ProcessConfig) -> None:
        self._config = config
        self._command = config.command or _COMMAND
        self._temporary: str | None = None
        self._folder: Path | None = None
        self._children: dict[str, asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        """Make the folder of the servers.

        Raises:
            ServerStartError: no such program.
        """
        program = self._command[0]
        if shutil.which(program) is None:
            raise errors.ServerStartError(f"no program {program!r}; set `command`")
        state = self._config.state
        if state is None:
            self._temporary = tempfile.mkdtemp(prefix="treadle-pool-")
            state = Path(self._temporary)
        self._folder = state / "servers"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def _servers(self) -> Path:
        if self._folder is None:
            raise errors.BackendStateError("the provider isn't started")
        return self._folder

    async def create(self, name: str, token: str) -> ServerAddress:
        """Start a server and wait for its address."""
        folder = self._servers / name
        folder.mkdir(mode=0o700)
        try:
            process = await self._spawn(folder, token)
            self._children[name] = process
            started = start_time(process.pid)
            (folder / "process").write_text(f"{process.pid} {started}", encoding="ascii")
            while not (address := _read(folder / "address")):
                if process.returncode is not None:
                    raise errors.ServerStartError(await self.failure(name) or "it ended")
                await asyncio.sleep(_POLL)
        except BaseException:
            await finish(self.remove(name))
            raise
        return ServerAddress(name=name, url=f"http://{address}", token=token)

    async def _spawn(self, folder: Path, token: str) -> asyncio.subprocess.Process:
        options = ("--host", "127.0.0.1", "--port", "0", "--port-file", str(folder / "address"))
        command = (*self._command, *options, *server_options(self._config))
        environment = {**_environment(), TOKEN_VARIABLE: token}
        with (folder / "log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd="/",
                start_new_session=True,
            )

    async def remove(self, name: str) -> None:
        """End a server, kindly at first, and delete its folder."""
        folder = self._servers / name
        process = self._find_process(folder)
        if process is not None:
            await self._end(name, process)
        child = self._children.pop(name, None)
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        shutil.rmtree(folder, ignore_errors=True)

    async def _end(self, name: str, process: int) -> None:
        began = start_time(process)
        for number, patience in _SIGNALS:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while began and start_time(process) == began:  # noqa: ASYNC110 - not a child
                        await asyncio.sleep(_POLL)
                return
        raise errors.ServerError(f"process {process} of server {name} doesn't end")

    @staticmethod
    def _find_process(folder: Path) -> int | None:
        """Return the id of a server's process, if it is still the one that was started."""
        words = _read(folder / "process").split()
        if len(words) != 2:
            return _search(folder)
        return int(words[0]) if start_time(int(words[0])) == words[1] else None

    async def find(self) -> tuple[str, ...]:
        """Return the names of the servers that have a folder."""
        return tuple(sorted(path.name for path in self._servers.iterdir() if path.is_dir()))

    async def address(self, name: str, token: str) -> ServerAddress | None:
        """Return the address of a server whose process runs."""
        folder = self._servers / name
        address = _read(folder / "address")
        if not address or self._find_process(folder) is None:
            return None
        return ServerAddress(name=name, url=f"http://{address}", token=token)

    async def failure(self, name: str) -> str | None:
        """Return how a server ended and the end of its log; None while it runs."""
        folder = self._servers / name
        child = self._children.get(name)
        if child is None and not (folder / "process").exists() and _age(folder) < _BIRTH:
            return None
        if (child is None or child.returncode is None) and self._find_process(folder) is not None:
            return None
        status = "its process is gone"
        if child is not None and child.returncode is not None:
            code = child.returncode
            status = f"it ended with status {code}" if code >= 0 else f"signal {-code} killed it"
        log = _read(folder / "log")[-_LOG_TAIL:].strip()
        return f"{status}: {log}" if log else status

    async def aclose(self) -> None:
        """Forget the servers; those of a temporary folder end."""
        if self._temporary is None or self._folder is None:
            return
        for name in await self.find():
            await self.remove(name)
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary = None


def _search(folder: Path) -> int | None:
    """Return the server of a driver that died before it noted the process."""
    wanted = os.fsencode(folder / "address")
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (path / "cmdline").read_bytes().split(b"\0"):
                return int(path.name)
    return None


def _age(folder: Path) -> float:
    """Return the seconds since the last entry of a folder came; 0 when it is gone."""
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0


def _environment() -> dict[str, str]:
    """Return what a server needs of this process's environment, and no secrets."""
    wanted = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in wanted if name in os.environ}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
