"""Where a backend's slots come from, whatever builds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from treadle_sandbox.local.channel import Channel
from treadle_sandbox.local.fence import Fence
from treadle_sandbox.records import Snapshot


class Slot(Protocol):
    """The processes and the files of one lease between two resets."""

    @property
    def channel(self) -> Channel:
        """The control socket."""
        ...

    @property
    def folder(self) -> Path | None:
        """Its folder on the host, at the `process` level alone."""
        ...

    @property
    def users(self) -> Sequence[str]:
        """Who commands may run as, as in `treadle_sandbox.Privilege`."""
        ...

    @property
    def fence(self) -> Fence:
        """Its control group and its way out."""
        ...

    async def snapshot(self) -> Snapshot:
        """Keep the files as they are now.

        Raises: UnsupportedError: this kind of slot can't.
        """
        ...

    async def stop(self) -> bool:
        """End every process and forget the files; return whether that is certain. May be called
        again.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What slots of a source offer."""

    separate_user: bool = False
    snapshots: bool = False
    verifier_user: bool = False
    root_inside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a new slot shall be."""

    index: int
    """Its place in the backend, which decides its ids."""
    timeout: float
    fence: Fence
    """What stands around it. It is the slot's when the slot was built, and ends with it."""
    snapshot: Snapshot | None = None


class Source(Protocol):
    """Builds slots in one way."""

    @property
    def features(self) -> Features:
        """What holds for its slots."""
        ...

    async def start(self, order: Order) -> Slot:
        """Build a slot and check that it is what its level promises.

        Raises:
            SlotStartError: it can't be built, doesn't hold what it should, or took too long.
            SnapshotNotFoundError: there is no such snapshot.
        """
        ...

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        ...

    async def aclose(self) -> bool:
        """Give back what slots shared; return whether nothing is left. May be called again."""
        ...
