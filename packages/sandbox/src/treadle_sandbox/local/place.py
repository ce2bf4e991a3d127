"""A lease's place in its backend: what builds its slots and its forks."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from treadle_sandbox.local.lease import LocalLease
from treadle_sandbox.local.slot import finish
from treadle_sandbox.local.source import Slot
from treadle_sandbox.records import Snapshot


class Leasing(Protocol):
    """What a place uses of its backend."""

    async def lease(self, *, timeout: float, snapshot: Snapshot | None) -> LocalLease:
        """Return a lease of another slot."""
        ...

    async def build_slot(self, index: int, snapshot: Snapshot | None) -> Slot:
        """Return a slot for a place of the pool."""
        ...

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        ...


class Place:
    """A lease's place in its backend."""

    def __init__(self, backend: Leasing, index: int) -> None:
        self._backend = backend
        self._index = index

    async def build(self, snapshot: Snapshot | None) -> Slot:
        """Return another slot in the same place."""
        return await self._backend.build_slot(self._index, snapshot)

    async def fork(self, slot: Slot, count: int, timeout: float) -> tuple[LocalLease, ...]:
        """Return leases that begin with the slot's files."""
        if count < 1:
            raise ValueError(f"count is {count}: fork into at least one")
        snapshot = await slot.snapshot()
        begun = [
            asyncio.ensure_future(self._backend.lease(timeout=timeout, snapshot=snapshot))
            for _ in range(count)
        ]
        try:
            return tuple(await asyncio.gather(*begun))
        except BaseException:
            await finish(_undo(begun))
            raise
        finally:
            await finish(self._backend.discard(snapshot))


async def _undo(begun: Sequence[asyncio.Future[LocalLease]]) -> None:
    for future in begun:
        future.cancel()
    for result in await asyncio.gather(*begun, return_exceptions=True):
        if isinstance(result, LocalLease):
            await result.aclose()
