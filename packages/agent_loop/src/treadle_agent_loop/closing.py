"""What everything here with an `aclose` has in common: it is an async context manager."""

from types import TracebackType
from typing import Protocol, Self


class Closing(Protocol):
    """Base of classes that are closed when their `async with` block ends."""

    async def aclose(self) -> None:
        """Give everything back. May be called again."""
        ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
