"""The calls of a lease that exchange its slot, or make other leases from its files."""

import asyncio
from abc import abstractmethod
from typing import Generic, Protocol, TypeVar

from treadle_sandbox import errors
from treadle_sandbox.local.slot import finish
from treadle_sandbox.local.source import Slot
from treadle_sandbox.records import Snapshot

_Made = TypeVar("_Made", covariant=True)


class Builder(Protocol[_Made]):
    """What a lease asks of its backend."""

    async def build(self, snapshot: Snapshot | None) -> Slot:
        """Return another slot in the same place."""
        ...

    async def fork(self, slot: Slot, count: int, timeout: float) -> tuple[_Made, ...]:
        """Return leases that begin with the slot's files."""
        ...


class Replacement(Generic[_Made]):
    """Mixin of a lease: `snapshot`, `restore`, `fork` and `reset`."""

    _slot: Slot
    _builder: Builder[_Made]
    _replacing: asyncio.Lock

    @property
    @abstractmethod
    def id(self) -> str:
        """Unique name of this lease."""

    @abstractmethod
    def _check_open(self) -> None: ...

    @abstractmethod
    def _attach(self, slot: Slot) -> None:
        """Use a new slot from now on."""

    async def snapshot(self) -> Snapshot:
        """Keep the files of the slot as they are now; processes go on."""
        self._check_open()
        return await self._slot.snapshot()

    async def restore(self, snapshot: Snapshot) -> None:
        """End every process and go back to a snapshot of this backend."""
        await self._replace(snapshot)

    async def fork(self, count: int, *, timeout: float = 30.0) -> tuple[_Made, ...]:
        """Return `count` new leases whose files are as they are here now; all or none."""
        self._check_open()
        return await self._builder.fork(self._slot, count, timeout)

    async def reset(self) -> None:
        """End every process and start again with an empty working directory."""
        await self._replace(None)

    async def _replace(self, snapshot: Snapshot | None) -> None:
        """Put a new slot into the old one's place, which ends at the same time."""
        async with self._replacing:
            self._check_open()
            ending = asyncio.ensure_future(self._slot.stop())
            try:
                slot = await self._builder.build(snapshot)
            finally:
                ended = await finish(_wait(ending))
            if not ended:
                await finish(slot.stop())
                raise errors.SlotStartError(
                    f"lease {self.id}: the old slot didn't end; close the lease"
                )
            self._attach(slot)


async def _wait(ending: "asyncio.Future[bool]") -> bool:
    return await ending
