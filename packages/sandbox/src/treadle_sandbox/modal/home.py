"""What a lease of a Modal sandbox asks of its backend."""

from typing import TYPE_CHECKING, Protocol

from treadle_sandbox.modal.account import Room
from treadle_sandbox.modal.process import Processes
from treadle_sandbox.records import Snapshot

if TYPE_CHECKING:
    from treadle_sandbox.modal.lease import ModalLease


class Home(Protocol):
    """What a lease asks of its backend."""

    async def replace(self, room: Room, image: str | None) -> Room:
        """End a sandbox and return another one that begins with `image`."""
        ...

    async def keep(self, room: Room, processes: Processes, workdir: str) -> Snapshot:
        """Return a snapshot of a sandbox's files."""
        ...

    def image_of(self, snapshot: Snapshot) -> str:
        """Return the image of a snapshot. Raises SnapshotNotFoundError."""
        ...

    async def fork(
        self, snapshot: Snapshot, count: int, timeout: float
    ) -> "tuple[ModalLease, ...]":
        """Return leases that begin with a snapshot."""
        ...

    async def release(self, lease: "ModalLease", room: Room) -> None:
        """Take a sandbox back."""
        ...
