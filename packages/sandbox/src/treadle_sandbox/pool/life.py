"""One server of a pool, from its creation (or discovery) to its end.

A life is one coroutine: create, connect, watch until it is over, and then, whatever happened, let
the leases know, close the connection and remove the server. The plan changes a server's state; the
life notices and acts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from treadle_sandbox import errors
from treadle_sandbox.config import PoolConfig
from treadle_sandbox.pool.boundary import Result, finish, within
from treadle_sandbox.pool.fleet import Server, ServerState
from treadle_sandbox.pool.link import Connect, Health, Link
from treadle_sandbox.pool.owner import owner_is_dead
from treadle_sandbox.pool.provider import Provider, ServerAddress

Clock = Callable[[], float]
_HUNGRY_INTERVAL = 0.25
_FIRST_POLL, _LAST_POLL = 0.02, 0.5
_REMOVALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the lives of a pool share."""

    config: PoolConfig
    provider: Provider
    connect: Connect
    clock: Clock
    ready: Callable[["Life"], None]
    """Called once the server gives leases."""
    changed: Callable[[], None]
    """Called when slots may have become free, or a state changed."""
    ended: Callable[["Life"], None]
    """Called when the server's leases are lost, before it is removed."""
    hungry: Callable[[], bool]
    """Whether someone waits for a slot."""


class Life:
    """A server and the connection to it."""

    def __init__(
        self, server: Server, token: str, around: Surroundings, link: Link | None = None
    ) -> None:
        self.server = server
        self.link = link
        self.started = False
        """Whether it was ever ready."""
        self.adopted = link is not None
        """Whether it was found, not created."""
        self.keep = False
        """Whether it stays when its life with this driver ends."""
        self._token = token
        self._around = around
        self._woken = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether its leases are lost."""
        return self.server.state is ServerState.REMOVING

    @property
    def connected(self) -> Link:
        """The connection. Raises ServerError when the server is gone."""
        if self.link is None:
            raise errors.ServerError(f"server {self.server.name} is gone: {self.server.cause}")
        return self.link

    def distrust(self) -> None:
        """Offer no slots until the server has been looked at, which is done at once."""
        self.server.foreign = self.server.slots
        self.wake()

    def wake(self) -> None:
        """Make it look at its server and its state now."""
        self._woken.set()

    async def live(self) -> None:
        """Run the life. Infrastructure failures end it; `server.cause` says why."""
        try:
            await self._begin()
            self.started = True
            self._around.ready(self)
            await self._watch()
        except errors.SandboxError as error:
            self.server.cause = self.server.cause or str(error)
        finally:
            self.server.state = ServerState.REMOVING
            await finish(self._end())

    async def settle(self) -> None:
        """Decide before the pool closes whether the server stays: because servers are to be kept,
        or because another driver has leases there.
        """
        self.keep = self.started and not self._around.config.purge_on_shutdown
        if self.keep or self.link is None or not self.started:
            return
        try:
            await self._look(self.link)
            if not self.server.foreign:
                await self._ask(self.link.drain(), "drain")
                await self._look(self.link)
        except errors.SandboxError:
            return
        self.keep = self.server.foreign > 0

    async def _begin(self) -> None:
        config, server = self._around.config, self.server
        try:
            async with asyncio.timeout(config.start_timeout):
                if self.link is None:
                    address = await self._create()
                    if address.expires is not None:
                        server.expires = self._around.clock() + address.expires
                    self.link = await self._reach(address)
                else:
                    await self._close_dead_owners(self.link)
                await self._look(self.link)
        except TimeoutError:
            raise errors.ServerStartError(
                f"server {server.name} wasn't ready within {config.start_timeout:g} s"
                f"{await self._suffix()}"
            ) from None
        if server.state is ServerState.STARTING:
            server.state = ServerState.READY
        server.touch(self._around.clock())

    async def _create(self) -> ServerAddress:
        name, provider = self.server.name, self._around.provider
        try:
            return await within(
                self._around.config.start_timeout, provider.create(name, self._token), "create"
            )
        except errors.SandboxError as error:
            raise errors.ServerStartError(f"{provider.kind} can't start {name}: {error}") from error

    async def _reach(self, address: ServerAddress) -> Link:
        """Connect as soon as the server answers; give up as soon as the platform knows why not."""
        poll = _FIRST_POLL
        while True:
            try:
                return await within(
                    self._around.config.health_timeout,
                    self._around.connect(address),
                    f"server {address.name}",
                )
            except errors.ServerError as error:
                if poll >= _LAST_POLL and (cause := await self._failure()):
                    raise errors.ServerStartError(f"server {address.name}: {cause}") from error
            await asyncio.sleep(poll)
            poll = min(_LAST_POLL, poll * 2)

    async def _close_dead_owners(self, link: Link) -> None:
        """Close what a driver of this machine left that is no longer there."""
        for entry in await self._ask(link.list_leases(), "leases"):
            if owner_is_dead(entry.owner):
                await self._ask(link.close_lease(entry.id), "close a lease of a dead driver")

    async def _watch(self) -> None:
        link, server = self.link, self.server
        while link is not None:
            await self._pause()
            if server.state is ServerState.REMOVING:
                return
            if server.state is ServerState.DRAINING and not server.drained and server.empty:
                await self._drain(link)
            else:
                await self._check(link)
            self._around.changed()

    async def _pause(self) -> None:
        seconds = self._around.config.health_check_interval
        if self.server.foreign and self._around.hungry():
            seconds = min(seconds, _HUNGRY_INTERVAL)
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def _drain(self, link: Link) -> None:
        """Let the server itself refuse leases; it ends when it has none."""
        try:
            await self._ask(link.drain(), "drain")
        except errors.ServerError:
            await self._fail()
            return
        self.server.drained = True
        await self._check(link)

    async def _check(self, link: Link) -> None:
        try:
            await self._look(link)
        except errors.ServerError as error:
            self.server.cause = str(error)
            await self._fail()
            return
        self.server.failures = 0
        if self.server.state is ServerState.QUARANTINED:
            self.server.state = ServerState.READY
            self.server.cause = ""

    async def _look(self, link: Link) -> None:
        server = self.server
        server.peak = server.used
        health = await self._ask(link.health(), "health")
        if server.boot and health.boot != server.boot:
            raise errors.ServerStartError(f"server {server.name} was restarted underneath")
        self._note(health)

    def _note(self, health: Health) -> None:
        server = self.server
        server.boot, server.slots = health.boot, health.slots - health.quarantined
        foreign = max(0, health.leased - server.peak)
        if foreign or server.foreign:
            server.touch(self._around.clock())
        server.foreign = foreign
        if server.slots <= 0 and server.state is ServerState.READY:
            server.state, server.cause = ServerState.DRAINING, "all its slots are in quarantine"
        if health.status == "draining" and server.state is not ServerState.REMOVING:
            server.state = ServerState.DRAINING
            server.drained = True

    async def _fail(self) -> None:
        """Count a failed check; end the life when the platform says that the server is dead."""
        server, config = self.server, self._around.config
        server.failures += 1
        cause = await self._failure()
        if cause:
            server.cause = cause
            raise errors.ServerStartError(cause)
        if server.failures >= config.remove_after:
            raise errors.ServerStartError(server.cause)
        if server.failures >= config.quarantine_after and server.state is ServerState.READY:
            server.state = ServerState.QUARANTINED

    async def _failure(self) -> str | None:
        provider = self._around.provider
        seconds = self._around.config.provider_timeout
        try:
            return await within(seconds, provider.failure(self.server.name), provider.kind)
        except errors.SandboxError:
            return None

    async def _suffix(self) -> str:
        cause = await self._failure()
        return f": {cause}" if cause else ""

    async def _ask(self, call: Awaitable[Result], what: str) -> Result:
        seconds = self._around.config.health_timeout
        return await within(seconds, call, f"server {self.server.name}, {what}")

    async def _end(self) -> None:
        around, server = self._around, self.server
        around.ended(self)
        link, self.link = self.link, None
        if not self.keep and (self.started or not self.adopted):
            await self._remove()
        if link is not None:
            try:
                await self._ask(link.aclose(), "close")
            except errors.SandboxError as error:
                server.cause = server.cause or str(error)
        around.changed()

    async def _remove(self) -> None:
        provider, name = self._around.provider, self.server.name
        for attempt in range(_REMOVALS):
            try:
                seconds = self._around.config.provider_timeout
                await within(seconds, provider.remove(name), f"{provider.kind} remove {name}")
            except errors.SandboxError as error:
                self.server.cause = f"{self.server.cause}; {error}"
                await asyncio.sleep(_LAST_POLL * 2**attempt)
            else:
                return
