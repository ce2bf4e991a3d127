"""Which volumes exist, what lies below each, and who still needs them.

A slot's volume and a snapshot's are needed until discarded, and as long as one above them is: the
layers below a slot are those of the snapshot it began with.
"""

from treadle_sandbox.slot import volume


class Shelf:
    """The books of the keeper's volumes."""

    def __init__(self, snapshot_bytes: int) -> None:
        self._limit = snapshot_bytes
        self._last = 0
        self._below: dict[int, tuple[int, ...]] = {}
        self._holders: dict[int, int] = {}
        self._snapshots: set[int] = set()

    def number(self) -> int:
        """Return a number that no volume had before."""
        self._last += 1
        return self._last

    def chain(self, number: int) -> "tuple[int, ...]":
        """Return a volume's layers below a slot that begins with it: itself, then those below it.

        Raises: KeyError: no such volume.
        """
        return (number, *self._below[number])

    def open(self, number: int, below: "tuple[int, ...]", *, snapshot: bool = False) -> None:
        """Enter a volume that lies on others."""
        self._below[number] = below
        if snapshot:
            self._snapshots.add(number)
        for layer in (number, *below):
            self._holders[layer] = self._holders.get(layer, 0) + 1

    def discard(self, number: int) -> "list[int]":
        """Strike a volume out; return those that nobody needs now.

        Raises: KeyError: no such volume.
        """
        free: list[int] = []
        for layer in (number, *self._below.pop(number)):
            self._holders[layer] -= 1
            if not self._holders[layer]:
                del self._holders[layer]
                self._snapshots.discard(layer)
                free.append(layer)
        return free

    def room(self) -> int:
        """Return the bytes that are left for another snapshot."""
        return max(0, self._limit - sum(volume.used(layer) for layer in self._snapshots))
