"""What the pool uses of one sandbox server; `treadle_sandbox.remote.RemoteBackend` has it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from treadle_sandbox.backend import Lease
from treadle_sandbox.pool.provider import ServerAddress
from treadle_sandbox.records import Capabilities, Snapshot, Statistics


class Health(Protocol):
    """A server's answer to the question how it is."""

    @property
    def status(self) -> str:
        """`ready` or `draining`."""
        ...

    @property
    def slots(self) -> int:
        """Slots that it has."""
        ...

    @property
    def leased(self) -> int:
        """Slots in use, by any driver."""
        ...

    @property
    def quarantined(self) -> int:
        """Slots out of use for good."""
        ...

    @property
    def boot(self) -> str:
        """Tells one run of its process from the next."""
        ...


class LeaseEntry(Protocol):
    """A lease in a server's list."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def owner(self) -> str:
        """The label that its driver gave."""
        ...


class Link(Protocol):
    """A connection to one sandbox server."""

    @property
    def capabilities(self) -> Capabilities:
        """What the server's slots are like."""
        ...

    async def health(self) -> Health:
        """Ask the server how it is."""
        ...

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> Lease:
        """Take a slot; as `Backend.lease`."""
        ...

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        ...

    async def drain(self) -> None:
        """Tell the server to give no more leases and to end after the last one."""
        ...

    async def list_leases(self) -> Sequence[LeaseEntry]:
        """Return all leases of the server."""
        ...

    async def close_lease(self, name: str) -> None:
        """Close a lease of any driver."""
        ...

    def statistics(self) -> Statistics:
        """Return what this driver did there."""
        ...

    async def aclose(self) -> None:
        """Close this driver's leases there and the connection."""
        ...


Connect = Callable[[ServerAddress], Awaitable[Link]]
"""Opens a link. Raises ServerError while the server doesn't answer yet."""
