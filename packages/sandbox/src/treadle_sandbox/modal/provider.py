"""Sandbox servers as Modal sandboxes, reached through tunnels.

Each sandbox runs `treadle-sandbox serve` as its first process, behind a tunnel that Modal encrypts.
The server's token travels as a Modal secret, never as a tag, a name or an argument. Modal's own
isolation doesn't let our server build namespaces inside, so slots that share a sandbox are
separated as far as `min_isolation` accepts; with one slot a sandbox, Modal is the boundary.
"""

import asyncio
import importlib.metadata

import modal
from modal import exception

from treadle_sandbox.config import ModalConfig
from treadle_sandbox.errors import ConfigError, ServerStartError
from treadle_sandbox.modal.account import ModalAccount, Room
from treadle_sandbox.modal.failures import GONE, account_boundary
from treadle_sandbox.modal.teardown import finish
from treadle_sandbox.pool.command import TOKEN_VARIABLE, server_options
from treadle_sandbox.pool.provider import ServerAddress

_PORT = 8642
_LOG_TIMEOUT, _LOG_MOST = 5.0, 1000
_PACKAGES = ("git", "tmux", "curl", "jq", "bubblewrap", "procps")
_REASONS = {
    124: "it reached max_lifetime, or was idle for idle_timeout",
    137: "it was terminated, or ran out of memory",
}


class ModalProvider:
    """Starts and ends the sandbox servers of one pool at Modal."""

    def __init__(self, config: ModalConfig, *, command: tuple[str, ...] | None = None) -> None:
        if config.mode != "server":
            raise ConfigError(f"mode is {config.mode!r}: use ModalExecBackend for it")
        self._config = config
        self._command = command or ("treadle-sandbox", "serve")
        self._account = ModalAccount(config)
        self._rooms: dict[str, Room] = {}
        self._image: modal.Image | None = None

    @property
    def kind(self) -> str:
        """Name of the platform."""
        return "modal"

    async def start(self) -> None:
        """Check the credentials and look the app up."""
        await self._account.open()
        self._image = self._build_image()

    def _build_image(self) -> modal.Image:
        config = self._config
        if config.image.startswith("im-"):
            return self._account.image(config.image)
        version = importlib.metadata.version("treadle-sandbox")
        image = self._account.image(config.image).apt_install(*_PACKAGES)
        return image.pip_install(f"treadle-sandbox[server]=={version}")

    async def create(self, name: str, token: str) -> ServerAddress:
        """Start one server and return its tunnel's address."""
        if self._image is None:
            raise ServerStartError("the provider isn't started: call `start` first")
        try:
            room = await self._account.create(
                name,
                (*self._command, *self._arguments()),
                image=self._image,
                variables={TOKEN_VARIABLE: token},
                ports=(_PORT,),
            )
        except exception.AlreadyExistsError as error:
            raise ServerStartError(f"Modal has a sandbox {name!r} already; remove it") from error
        self._rooms[name] = room
        try:
            return await self._locate(room, token)
        except BaseException:
            await finish(self.remove(name))
            raise

    def _arguments(self) -> list[str]:
        host = "0.0.0.0"  # what the tunnel reaches inside the sandbox
        return ["--host", host, "--port", str(_PORT), *server_options(self._config)]

    async def _locate(self, room: Room, token: str) -> ServerAddress:
        seconds = int(self._config.start_timeout)
        with account_boundary(f"the tunnel of {room.name!r}"):
            tunnels = await room.sandbox.tunnels.aio(timeout=seconds)
        if _PORT not in tunnels:
            raise ServerStartError(f"Modal gave sandbox {room.name!r} no tunnel")
        url = tunnels[_PORT].url
        return ServerAddress(name=room.name, url=url, token=token, expires=room.left)

    async def remove(self, name: str) -> None:
        """End a server for good. It may be gone already."""
        room = self._rooms.pop(name, None) or await self._account.get(name)
        if room is not None:
            await self._account.terminate(room)

    async def find(self) -> tuple[str, ...]:
        """Return the names of this pool's servers that run now."""
        rooms = await self._account.find()
        self._rooms.update({room.name: room for room in rooms})
        return tuple(sorted(room.name for room in rooms))

    async def address(self, name: str, token: str) -> ServerAddress | None:
        """Return the address of a server that another driver created; None when it is gone."""
        room = await self._account.get(name)
        if room is None:
            return None
        self._rooms[name] = room
        return await self._locate(room, token)

    async def failure(self, name: str) -> str | None:
        """Return why a server died, None when it looks alive."""
        room = self._rooms.get(name) or await self._account.get(name)
        if room is None:
            return f"Modal has no sandbox {name!r} any more"
        try:
            with account_boundary(f"sandbox {name!r}"):
                code = await room.sandbox.poll.aio()
        except (ConfigError, *GONE):
            return f"Modal has no sandbox {name!r} any more"
        if code is None:
            return None
        reason = _REASONS.get(code, f"its server ended with exit code {code}")
        said = await self._last_words(room)
        return f"Modal sandbox {name!r} ended: {reason}{': ' if said else ''}{said}"

    async def _last_words(self, room: Room) -> str:
        try:
            async with asyncio.timeout(_LOG_TIMEOUT):
                text = await room.sandbox.stderr.read.aio()
        except (exception.Error, OSError, TimeoutError):
            return ""
        return text.strip()[-_LOG_MOST:]

    async def aclose(self) -> None:
        """Close the connection; servers stay."""
        await self._account.aclose()
