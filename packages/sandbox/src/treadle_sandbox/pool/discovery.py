"""Servers of a pool that this driver didn't create: another driver's, or left by one that died.

What answers to the pool's token is taken in. What doesn't answer, and is dead as the platform
knows, or older than a server may take to start, is an orphan and is removed. What refuses the token
belongs to a pool of the same name with another secret and is left alone; it ends itself when its
driver is silent.
"""

import contextlib
from collections.abc import Container
from dataclasses import dataclass

from treadle_sandbox import errors
from treadle_sandbox.config import PoolConfig
from treadle_sandbox.pool import secret
from treadle_sandbox.pool.boundary import within
from treadle_sandbox.pool.life import Clock
from treadle_sandbox.pool.link import Connect, Link
from treadle_sandbox.pool.provider import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A server to take in."""

    name: str
    link: Link
    expires: float | None
    """Seconds left that its platform grants it."""


class Discovery:
    """Looks for servers by their names."""

    def __init__(
        self,
        config: PoolConfig,
        provider: Provider,
        connect: Connect,
        *,
        key: bytes,
        wall_clock: Clock,
    ) -> None:
        self._config = config
        self._provider = provider
        self._connect = connect
        self._key = key
        self._wall_clock = wall_clock
        self._strangers: set[str] = set()
        self.orphans = 0
        """Servers that were removed because nobody could use them."""

    async def names(self) -> tuple[str, ...]:
        """Return the names of the pool's servers that exist. Raises SandboxError."""
        provider = self._provider
        names = await within(
            self._config.provider_timeout, provider.find(), f"{provider.kind} find"
        )
        return tuple(n for n in names if secret.creation_time(self._config.name, n) is not None)

    async def look(self, known: Container[str]) -> tuple[Found, ...]:
        """Return the servers that can be taken in; remove orphans."""
        try:
            names = await self.names()
        except errors.SandboxError:
            return ()
        found = [await self._try(n) for n in names if n not in known and n not in self._strangers]
        return tuple(entry for entry in found if entry is not None)

    async def purge(self) -> None:
        """Remove every server of the pool. Raises SandboxError."""
        for name in await self.names():
            await self._remove(name)

    async def sweep(self) -> None:
        """Remove the servers of which the platform knows that they are dead."""
        with contextlib.suppress(errors.SandboxError):
            for name in await self.names():
                if await self._is_dead(name):
                    await self._remove_orphan(name)

    async def _try(self, name: str) -> Found | None:
        config, provider = self._config, self._provider
        token = secret.server_token(self._key, name)
        try:
            what = f"{provider.kind} address of {name}"
            address = await within(config.provider_timeout, provider.address(name, token), what)
            if address is not None:
                link = await within(config.health_timeout, self._connect(address), name)
                return Found(name=name, link=link, expires=address.expires)
        except errors.UnauthorizedError:
            self._strangers.add(name)
            return None
        except errors.SandboxError:
            pass
        created = secret.creation_time(config.name, name) or 0.0
        if self._wall_clock() - created > config.start_timeout or await self._is_dead(name):
            await self._remove_orphan(name)
        return None

    async def _is_dead(self, name: str) -> bool:
        provider = self._provider
        what = f"{provider.kind} failure of {name}"
        try:
            cause = await within(self._config.provider_timeout, provider.failure(name), what)
        except errors.SandboxError:
            return False
        return cause is not None

    async def _remove_orphan(self, name: str) -> None:
        try:
            await self._remove(name)
            self.orphans += 1
        except errors.SandboxError:
            self._strangers.add(name)

    async def _remove(self, name: str) -> None:
        provider = self._provider
        what = f"{provider.kind} remove {name}"
        await within(self._config.provider_timeout, provider.remove(name), what)
