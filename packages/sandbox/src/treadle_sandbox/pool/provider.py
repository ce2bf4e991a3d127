"""What a platform must do to run the servers of a pool.

A provider starts and ends single sandbox servers; it decides nothing. Which server is wanted, how
many, and whether one is healthy is the pool's concern. A provider's calls are made with deadlines
and may be cancelled at any point: `create` then leaves nothing behind.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """How to reach one sandbox server."""

    name: str
    """Unique; begins with the pool's name."""
    url: str
    """`http://host:port` or `https://host:port`."""
    token: str
    """Bearer token of the server."""
    expires: float | None = None
    """Seconds left that the platform grants it; None: unbounded."""


@runtime_checkable
class Provider(Protocol):
    """A platform that runs sandbox servers for one pool."""

    @property
    def kind(self) -> str:
        """Name of the platform, for example `docker`."""
        ...

    async def start(self) -> None:
        """Check the platform, before any other call.

        Raises:
            IsolationUnavailableError, ConfigError, ServerStartError: it can't be used; with advice.
        """
        ...

    async def create(self, name: str, token: str) -> ServerAddress:
        """Start one server; return when its process runs and its address is known.

        The pool waits for its health. Cancelled or failed, it leaves nothing.

        Raises:
            ServerStartError: with the platform's reason.
        """
        ...

    async def remove(self, name: str) -> None:
        """End a server for good. It may be gone already."""
        ...

    async def find(self) -> tuple[str, ...]:
        """Return the names of this pool's servers that exist now, whoever created them."""
        ...

    async def address(self, name: str, token: str) -> ServerAddress | None:
        """Return the address of a server that another driver created; None when it is gone."""
        ...

    async def failure(self, name: str) -> str | None:
        """Return why a server died or can't start, for people; None when it looks alive."""
        ...

    async def aclose(self) -> None:
        """Give back what the provider itself holds; servers stay. May be called again."""
        ...
