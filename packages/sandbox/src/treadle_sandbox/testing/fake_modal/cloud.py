"""The sandboxes of a stand-in for Modal: each is a real slot of a local backend, or, when its first
process is our server, a real process of this machine.
"""

import asyncio
import contextlib
import shutil
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.errors import SandboxError
from treadle_sandbox.testing.fake_modal.execution import Execution

SUCCESS, FAILURE, TERMINATED, TIMEOUT, IDLE = 1, 2, 3, 4, 7


@dataclass(slots=True, kw_only=True)
class FakeSandbox:
    """A sandbox between its creation and its end."""

    id: str
    name: str
    app: str
    tags: dict[str, str]
    created: float
    ends: float
    lease: Lease | None = None
    process: asyncio.subprocess.Process | None = None
    port: int = 0
    container_port: int = 0
    image: str = ""
    status: int = 0
    code: int = 0
    executions: dict[str, Execution] = field(default_factory=dict[str, Execution])
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    proxy: asyncio.Server | None = None
    carrying: set[asyncio.Future[None]] = field(default_factory=set["asyncio.Future[None]"])
    log: Path | None = None

    @property
    def task_id(self) -> str:
        """Name of its task, by which commands address it."""
        return self.id.replace("sb-", "ta-")

    async def end(self, status: int, code: int) -> None:
        """End it as the platform would, from outside."""
        if self.ended.is_set():
            return
        self.status, self.code = status, code
        self.ended.set()
        tasks = [each.task for each in self.executions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.lease is not None:
            await self.lease.aclose()
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        if self.proxy is not None:
            self.proxy.close()
        for carrying in self.carrying:
            carrying.cancel()
        await asyncio.gather(*self.carrying, return_exceptions=True)


class FakeCloud:
    """What the stand-in knows: sandboxes, images, and how it is told to misbehave."""

    def __init__(self, backend: Backend, *, environment: dict[str, str]) -> None:
        self.environment = environment
        self.folder = Path(tempfile.mkdtemp(prefix="treadle-modal-"))
        self.tls: ssl.SSLContext | None = None
        self.backend = backend
        self.sandboxes: dict[str, FakeSandbox] = {}
        self.archives: dict[str, bytes] = {}
        self.creations: list[float] = []
        self.requests: list[str] = []
        self.accept_token = "ak-good"
        self.refuse_creations = 0
        self.fail_image = ""
        self.definitions: list[object] = []
        self.secrets: list[dict[str, str]] = []

    def running(self) -> list[FakeSandbox]:
        """Return the sandboxes that live."""
        return [each for each in self.sandboxes.values() if not each.ended.is_set()]

    def named(self, app: str, name: str) -> FakeSandbox | None:
        """Return the running sandbox of that name."""
        for each in self.running():
            if each.name == name and each.app == app:
                return each
        return None

    async def tunnel(self, sandbox: FakeSandbox) -> int:
        """Return the port of a tunnel to a sandbox; with a certificate it speaks TLS."""
        if sandbox.proxy is None:

            async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                work = asyncio.ensure_future(_join(reader, writer, sandbox.port))
                sandbox.carrying.add(work)
                work.add_done_callback(sandbox.carrying.discard)
                await asyncio.wait({work})

            sandbox.proxy = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=self.tls)
        return sandbox.proxy.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """End everything."""
        for each in self.running():
            with contextlib.suppress(SandboxError):
                await each.end(TERMINATED, 137)
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Carry bytes both ways between a client and a port of this machine."""
    try:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.transport.abort()
        return
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, inner_writer))
            group.create_task(_pump(inner_reader, writer))
    finally:
        inner_writer.transport.abort()
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
