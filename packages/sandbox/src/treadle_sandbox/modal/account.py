"""One Modal app and what a pool does with it: create, find and end sandboxes.

Every sandbox has a name, unique in its app, and tags from which another driver recovers it: the
pool, the profile, its name and when Modal ends it. Names and tags hold no secret. Creations are
rate-capped here, for Modal limits them.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import modal
from modal import exception

from treadle_sandbox.config import ModalConfig
from treadle_sandbox.errors import BackendStateError
from treadle_sandbox.modal.failures import GONE, account_boundary
from treadle_sandbox.modal.rate import RateCap
from treadle_sandbox.modal.teardown import finish

_POOL, _PROFILE, _NAME, _EXPIRES = "treadle-pool", "treadle-profile", "treadle-name", "treadle-end"
_TERMINATE_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A sandbox of Modal as a pool knows it."""

    name: str
    sandbox: modal.Sandbox
    ends: float
    """Unix time at which Modal ends it."""

    @property
    def left(self) -> float:
        """Seconds that Modal lets it live still."""
        return max(0.0, self.ends - time.time())


class ModalAccount:
    """The app of one pool. `open` it before use."""

    def __init__(self, config: ModalConfig) -> None:
        self._config = config
        self._client: modal.Client | None = None
        self._own = False
        self._app: modal.App | None = None
        self._rate = RateCap(config.creations_per_second)

    @property
    def app_name(self) -> str:
        """Name of the Modal app."""
        return self._config.app_name or f"{self._config.name}-{self._config.profile}"

    async def open(self) -> None:
        """Check the credentials and look the app up, made when it isn't there.

        Raises:
            UnauthorizedError: no credentials, or refused ones; says how to get some.
            ServerError: Modal can't be reached.
        """
        config = self._config
        with account_boundary(f"app {self.app_name!r}"):
            async with asyncio.timeout(config.provider_timeout):
                await self._connect()
                self._app = await modal.App.lookup.aio(
                    self.app_name,
                    client=self._client,
                    environment_name=config.environment,
                    create_if_missing=True,
                )

    async def _connect(self) -> None:
        config = self._config
        if config.token_id and config.token_secret:
            self._client = await modal.Client.from_credentials.aio(
                config.token_id, config.token_secret
            )
            self._own = True
        else:
            self._client = await modal.Client.from_env.aio()

    async def create(
        self,
        name: str,
        command: Sequence[str],
        *,
        image: modal.Image,
        variables: Mapping[str, str],
        ports: Sequence[int] = (),
    ) -> Room:
        """Start a sandbox of that name with `command` as its first process.

        Cancelled, it leaves nothing: what Modal created meanwhile is ended.

        Raises:
            modal.exception.AlreadyExistsError: another one has the name.
            ServerStartError, UnauthorizedError, ConfigError, ServerError: with Modal's reason.
        """
        await self._rate.wait()
        creating = asyncio.ensure_future(self._create(name, command, image, variables, ports))
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            await finish(_undo(creating))
            raise

    async def _create(
        self,
        name: str,
        command: Sequence[str],
        image: modal.Image,
        variables: Mapping[str, str],
        ports: Sequence[int],
    ) -> Room:
        config = self._config
        ends = time.time() + config.max_lifetime
        secrets = [
            modal.Secret.from_name(secret, environment_name=config.environment)
            for secret in config.secrets
        ]
        if variables:
            secrets.append(modal.Secret.from_dict({**variables}))
        tags = {**self._tags(), _NAME: name, _EXPIRES: f"{ends:.0f}"}
        with account_boundary(f"sandbox {name!r}"):
            async with asyncio.timeout(config.start_timeout):
                sandbox = await modal.Sandbox.create.aio(
                    *command,
                    app=self._opened(),
                    name=name,
                    tags=tags,
                    image=image,
                    secrets=secrets,
                    timeout=int(config.max_lifetime),
                    idle_timeout=int(config.idle_timeout),
                    workdir=config.workdir,
                    gpu=config.gpu,
                    region=list(config.regions) or None,
                    cpu=config.cpu,
                    memory=config.memory,
                    block_network=not ports and config.network is False,
                    encrypted_ports=list(ports),
                    client=self._client,
                )
        return Room(name=name, sandbox=sandbox, ends=ends)

    def _tags(self) -> dict[str, str]:
        return {_POOL: self._config.name, _PROFILE: self._config.profile}

    def _opened(self) -> modal.App:
        if self._app is None:
            raise BackendStateError("the Modal app isn't open; enter the backend first")
        return self._app

    async def find(self) -> tuple[Room, ...]:
        """Return this pool's sandboxes that run now, whoever created them."""
        app = self._opened()
        rooms: list[Room] = []
        with account_boundary("the list of sandboxes"):
            async with asyncio.timeout(self._config.provider_timeout):
                found = modal.Sandbox.list.aio(
                    app_id=app.app_id, tags=self._tags(), client=self._client
                )
                async for sandbox in found:
                    tags = await sandbox.get_tags.aio()
                    if name := tags.get(_NAME):
                        ends = float(tags.get(_EXPIRES, "inf"))
                        rooms.append(Room(name=name, sandbox=sandbox, ends=ends))
        return tuple(rooms)

    async def get(self, name: str) -> Room | None:
        """Return the running sandbox of that name, None when there is none."""
        self._opened()
        with account_boundary(f"sandbox {name!r}"):
            async with asyncio.timeout(self._config.provider_timeout):
                try:
                    sandbox = await modal.Sandbox.from_name.aio(
                        self.app_name,
                        name,
                        environment_name=self._config.environment,
                        client=self._client,
                    )
                    tags = await sandbox.get_tags.aio()
                except GONE:
                    return None
        return Room(name=name, sandbox=sandbox, ends=float(tags.get(_EXPIRES, "inf")))

    async def terminate(self, room: Room) -> None:
        """End a sandbox; it may be gone already."""
        with account_boundary(f"the end of sandbox {room.name!r}"):
            await _terminate(room.sandbox)

    def image(self, name: str) -> modal.Image:
        """Return an image of Modal by its id, or one of a registry by its tag."""
        if name.startswith("im-"):
            return modal.Image.from_id(name, client=self._client)
        return modal.Image.from_registry(name)

    async def aclose(self) -> None:
        """Close the connection, when it isn't shared with the rest of the program."""
        client, self._client, self._app = self._client, None, None
        if client is not None and self._own:
            await client.close.aio()


async def _terminate(sandbox: modal.Sandbox) -> None:
    async with asyncio.timeout(_TERMINATE_TIMEOUT):
        try:
            await sandbox.terminate.aio()
            await sandbox.detach.aio()
        except GONE:
            return


async def _undo(creating: "asyncio.Future[Room]") -> None:
    """Wait for a creation that nobody wants any more, and end what came of it."""
    await asyncio.wait({creating})
    if not creating.cancelled() and creating.exception() is None:
        try:
            await _terminate(creating.result().sandbox)
        except (exception.Error, TimeoutError):
            return
