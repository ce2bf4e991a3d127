"""The servers of a pool as the pool knows them, and how many slots each has to give. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class ServerState(StrEnum):
    """Where a server is in its life."""

    STARTING = "starting"
    """Being created, or not yet healthy."""
    READY = "ready"
    """Gives leases."""
    QUARANTINED = "quarantined"
    """Failed health checks: gives no leases, those it gave go on."""
    DRAINING = "draining"
    """Gives no more leases; is removed when the last one ends."""
    REMOVING = "removing"
    """Is being ended; its leases are lost."""


@dataclass(slots=True, kw_only=True, eq=False)
class Server:
    """What is known of one server."""

    name: str
    slots: int
    state: ServerState = ServerState.STARTING
    used: int = 0
    """Slots that this driver has leased or is about to."""
    foreign: int = 0
    """Slots that other drivers had leased at the last look."""
    peak: int = 0
    """The most of `used` since the last look began."""
    drained: bool = False
    """Whether the server itself gives no more leases, to any driver."""
    snapshots: set[str] = field(default_factory=set[str])
    """Snapshots this driver keeps there."""
    failures: int = 0
    """Failed health checks in a row."""
    idle_since: float = 0.0
    """Since when nobody uses it, if nobody does."""
    expires: float | None = None
    """When its platform ends it, on the pool's clock."""
    boot: str = ""
    """Tells one run of the server's process from the next."""
    cause: str = ""
    """Why it is out of use, for people."""

    @property
    def free(self) -> int:
        """How many leases it can be asked for."""
        if self.state is not ServerState.READY:
            return 0
        return max(0, self.slots - self.used - self.foreign)

    @property
    def empty(self) -> bool:
        """Whether no driver's lease is on it."""
        return not (self.used or self.foreign)

    @property
    def idle(self) -> bool:
        """Whether it is empty and holds no snapshot of ours."""
        return self.empty and not self.snapshots

    def take(self, count: int) -> None:
        """Reserve slots."""
        self.used += count
        self.peak = max(self.peak, self.used)

    def give(self, count: int, now: float) -> None:
        """Give reserved slots back."""
        self.used -= count
        self.touch(now)

    def touch(self, now: float) -> None:
        """Note that something ended there, from which on it may be idle."""
        self.idle_since = now

    def retires(self, now: float, margin: float) -> bool:
        """Whether its platform ends it within `margin` seconds."""
        return self.expires is not None and self.expires - margin <= now


class Fleet:
    """All servers of a pool by name, in the order of their coming."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}

    def __iter__(self) -> Iterator[Server]:
        return iter(tuple(self._servers.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._servers

    def __len__(self) -> int:
        return len(self._servers)

    def get(self, name: str) -> Server | None:
        """Return the server of that name, if it is there."""
        return self._servers.get(name)

    def add(self, server: Server) -> None:
        """Count a server in."""
        self._servers[server.name] = server

    def drop(self, server: Server) -> None:
        """Forget a server that is gone."""
        self._servers.pop(server.name, None)

    def count(self, *states: ServerState) -> int:
        """Return how many servers are in one of the states."""
        return sum(server.state in states for server in self)

    def offers(self, now: float, margin: float) -> dict[str, int]:
        """Return the free slots by server, in the order in which they should be used: servers that
        live on before servers that end soon, fuller ones first so that others become idle.
        """
        offering = [server for server in self if server.free]
        offering.sort(key=lambda server: (server.retires(now, margin), server.free))
        return {server.name: server.free for server in offering}
