"""A running server: its socket, its deadlines, its signals and its end."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from uvicorn import Config

from treadle_sandbox.backend import Backend
from treadle_sandbox.errors import ConfigError, ServerStartError
from treadle_sandbox.server.app import make_app
from treadle_sandbox.server.connection import Door
from treadle_sandbox.server.options import ServerOptions
from treadle_sandbox.server.service import Service

_SWEEP = 0.25
_BACKLOG = 2048


class Server:
    """A server over an entered backend; it doesn't own the backend."""

    def __init__(self, backend: Backend, options: ServerOptions) -> None:
        self._options = options
        self._service = Service(backend, options)
        app = make_app(self._service)
        config = Config(
            app,  # pyright: ignore[reportArgumentType]
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            timeout_keep_alive=int(options.idle_timeout) + 5,
        )
        config.load()
        self._door = Door(
            config=config,
            commands=self._service.commands,
            options=options,
            tally=self._service.tally,
        )
        self.address = ""

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[None]:
        """Serve inside the block; then end every connection, call and lease."""
        check_reach(self._service.backend, self._options)
        bound = _bind(self._options)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._door.open, sock=bound, backlog=_BACKLOG)
        host, port = bound.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        sweeper = asyncio.create_task(self._sweep())
        try:
            if self._options.port_file is not None:
                _announce(self._options.port_file, self.address)
            yield
        finally:
            sweeper.cancel()
            server.close()
            await self._end(sweeper)

    async def _end(self, sweeper: asyncio.Task[None]) -> None:
        with suppress(asyncio.CancelledError):
            await sweeper
        service = self._service
        await service.batches.aclose()
        await service.named.aclose()
        await service.book.aclose()
        for connection in list(self._door.state.connections):
            connection.shutdown()
        tasks = set(self._door.state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=2)
            for task in late:
                task.cancel()
        for connection in list(self._door.state.connections):
            connection.transport.abort()
        if self._options.port_file is not None:
            self._options.port_file.unlink(missing_ok=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self._door.sweep()
            await self._service.book.sweep()
            idle = time.monotonic() - self._door.used
            limit = self._options.idle_exit
            if limit is not None and not len(self._service.book) and idle > limit:
                self._service.end.set()

    async def wait_ended(self) -> None:
        """Return once the end was asked for and either the last lease ended or `grace` passed."""
        await self._service.end.wait()
        self._service.book.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.grace):
                await self._service.book.empty.wait()

    @property
    def ending(self) -> bool:
        """Whether its end was asked for."""
        return self._service.end.is_set()

    def begin_end(self) -> None:
        """Ask for the end; leases have a while left."""
        self._service.book.draining = True
        self._service.end.set()


async def serve(backend: Backend, options: ServerOptions) -> None:
    """Enter a backend and serve it until SIGTERM, SIGINT or idleness.

    The first signal gives leases `grace` seconds to end; the second ends at once.

    Raises:
        ServerStartError: the address can't be listened on.
        ConfigError: slots could reach a server that demands no token.
    """
    async with backend:
        server = Server(backend, options)
        hurry = asyncio.Event()

        def on_signal() -> None:
            if server.ending:
                hurry.set()
            server.begin_end()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        async with server.listen():
            waits = {
                asyncio.ensure_future(server.wait_ended()),
                asyncio.ensure_future(hurry.wait()),
            }
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()


def check_reach(backend: Backend, options: ServerOptions) -> None:
    """Raise ConfigError when commands in slots could use the server."""
    if options.token is None and backend.capabilities.network:
        raise ConfigError(
            "slots reach this machine's network, and so a server without a token: give "
            "--token-file or set TREADLE_SANDBOX_TOKEN"
        )


def _bind(options: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # With the protocol named asyncio sets TCP_NODELAY; without, answers wait 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((options.host, options.port))
    except OSError as error:
        bound.close()
        where = f"{options.host}:{options.port}"
        raise ServerStartError(f"can't listen on {where}: {error.strerror or error}") from error
    bound.setblocking(False)
    return bound


def _announce(path: Path, address: str) -> None:
    """Write the address so that a reader sees all of it or nothing."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(address + "\n", encoding="ascii")
    part.rename(path)
