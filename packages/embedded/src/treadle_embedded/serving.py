"""Running the server in this process: one line when it listens, a quick stop on a signal.

The port is bound first, so that a taken port ends in one clear error. On SIGTERM, SIGINT or the end
of standard input (when asked) running answers are ended with status 503 and the process is gone
within a second.
"""

import asyncio
import os
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from treadle_embedded.model import EmbeddedModel
from treadle_embedded.server import create_app


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to serve."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: any free port."""
    token_features: bool = True
    """False: no token ids in or out, like a plain OpenAI-compatible server."""
    rows: int = 16
    """Answers made at once."""
    bundle: Path | None = None
    """Folder of another converted model; None: the bundled one."""
    stop_with_stdin: bool = False
    """Stop when standard input ends: a parent that holds its other end takes the server with it."""


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket. Raises: OSError (the port is taken, the host unknown)."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


async def serve(listener: socket.socket, options: ServeOptions) -> None:
    """Serve on an open socket until a signal comes."""
    async with EmbeddedModel(options.bundle, rows=options.rows) as model:
        app = create_app(model, token_features=options.token_features)
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        server = _Server(config, model, _url(listener, options.host))
        if options.stop_with_stdin:
            watch = threading.Thread(target=server.stop_with_stdin, daemon=True)
            watch.start()
        with suppress(asyncio.CancelledError):
            await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, model: EmbeddedModel, url: str) -> None:
        super().__init__(config)
        self._model, self._url = model, url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where the server listens once it does."""
        await super().startup(sockets)
        print(f"listening on {self._url}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End running answers first: uvicorn waits for them."""
        await self._model.aclose()
        await super().shutdown(sockets)

    def stop_with_stdin(self) -> None:
        """Wait for the end of standard input, then stop. Blocks: run it on a thread of its own."""
        while os.read(sys.stdin.fileno(), 4096):
            pass
        self.should_exit = True


def _url(listener: socket.socket, host: str) -> str:
    port = int(listener.getsockname()[1])
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
