"""A platform in this process: servers that are backends, and the faults of platforms.

`MemoryPlatform` is a `Provider` and the way to connect to its servers, so that a pool can be
tested without a network; two pools on one platform see the same servers.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from treadle_sandbox import errors
from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.pool.provider import ServerAddress
from treadle_sandbox.records import Capabilities, Snapshot, Statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryHealth:
    """A server's answer to the question how it is."""

    status: str
    slots: int
    leased: int
    quarantined: int
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEntry:
    """A lease in a server's list."""

    id: str
    owner: str


@dataclass(slots=True, kw_only=True, eq=False)
class MemoryServer:
    """One server: a backend, and what is wrong with it."""

    name: str
    token: str
    backend: Backend
    boot: str = field(default_factory=lambda: secrets.token_hex(4))
    alive: bool = True
    """Whether it answers. One that doesn't is `dead` or only silent."""
    dead: str = ""
    """Why the platform says that it died."""
    draining: bool = False
    leases: dict[str, Lease] = field(default_factory=dict[str, Lease])

    def check(self) -> None:
        """Raise ServerError when it doesn't answer."""
        if not self.alive:
            raise errors.ServerError(f"server {self.name} doesn't answer")

    def kill(self, reason: str) -> None:
        """Let it die; the platform knows why."""
        self.alive, self.dead = False, reason


class MemoryLink:
    """A connection of one driver to a server."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._mine: set[Lease] = set()

    @property
    def capabilities(self) -> Capabilities:
        """What the server's slots are like."""
        return self._server.backend.capabilities

    async def health(self) -> MemoryHealth:
        """Ask the server how it is."""
        server = self._server
        server.check()
        state = server.backend.statistics()
        status = "draining" if server.draining else "ready"
        return MemoryHealth(
            status=status,
            slots=state.slots,
            leased=state.leased,
            quarantined=state.quarantined,
            boot=server.boot,
        )

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> Lease:
        """Take a slot."""
        server = self._server
        server.check()
        if server.draining:
            raise errors.ServerError(f"server {server.name} is draining")
        lease = await server.backend.lease(timeout=timeout, lifetime=lifetime, snapshot=snapshot)
        self._mine.add(lease)
        server.leases[lease.id] = lease
        return lease

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        await self._server.backend.discard(snapshot)

    async def drain(self) -> None:
        """Tell the server to give no more leases."""
        self._server.check()
        self._server.draining = True

    async def list_leases(self) -> Sequence[MemoryEntry]:
        """Return all leases of the server; all are this process's."""
        self._server.check()
        return [MemoryEntry(id=name, owner="") for name in self._server.leases]

    async def close_lease(self, name: str) -> None:
        """Close a lease of any driver."""
        await self._server.leases[name].aclose()

    def statistics(self) -> Statistics:
        """Return what was done there, by any driver."""
        return self._server.backend.statistics()

    async def aclose(self) -> None:
        """Close this driver's leases."""
        for lease in self._mine:
            await lease.aclose()


class MemoryPlatform:
    """Starts servers in this process. `backends` makes the backend of each; set the faults."""

    kind = "memory"

    def __init__(self, backends: Callable[[], Backend]) -> None:
        self._backends = backends
        self.servers: dict[str, MemoryServer] = {}
        self.created: list[str] = []
        """Names of all servers ever, in order."""
        self.refusal = ""
        """Why no server can be created."""
        self.held = asyncio.Event()
        """Cleared, creations wait."""
        self.held.set()
        self.expires: float | None = None
        """Seconds that servers are granted."""

    async def start(self) -> None:
        """Nothing to check."""

    async def create(self, name: str, token: str) -> ServerAddress:
        """Start one server."""
        await self.held.wait()
        if self.refusal:
            raise errors.ServerStartError(self.refusal)
        backend = self._backends()
        await backend.__aenter__()
        self.servers[name] = MemoryServer(name=name, token=token, backend=backend)
        self.created.append(name)
        return self._describe(name, token)

    def _describe(self, name: str, token: str) -> ServerAddress:
        return ServerAddress(name=name, url=f"memory:{name}", token=token, expires=self.expires)

    async def connect(self, address: ServerAddress) -> MemoryLink:
        """Open a link; raises as a real server would."""
        server = self.servers.get(address.name)
        if server is None:
            raise errors.ServerError(f"no server {address.name}")
        server.check()
        if server.token != address.token:
            raise errors.UnauthorizedError(f"server {address.name} refuses the token")
        return MemoryLink(server)

    async def remove(self, name: str) -> None:
        """End a server."""
        server = self.servers.pop(name, None)
        if server is not None:
            await server.backend.aclose()

    async def find(self) -> tuple[str, ...]:
        """Return the names of all servers."""
        return tuple(self.servers)

    async def address(self, name: str, token: str) -> ServerAddress | None:
        """Return the address of a server."""
        return self._describe(name, token) if name in self.servers else None

    async def failure(self, name: str) -> str | None:
        """Return why a server died."""
        server = self.servers.get(name)
        return None if server is None else server.dead or None

    async def aclose(self) -> None:
        """Nothing to give back."""
