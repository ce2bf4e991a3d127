"""A user namespace for each slot of a keeper, with an id range of its own.

It is made when the slot's place is first used and kept: a slot only enters it. Without a right to
map ranges there is none; the slot then makes itself one with a single id.
"""

# pathlib would double the start-up time of a slot.

import os
import signal
from typing import Any

from treadle_sandbox.slot import confine, grants, linux, mounts


class UserNamespaces:
    """The user namespaces of one keeper, as descriptors."""

    def __init__(self, config: "dict[str, Any]") -> None:
        self._ranges = config["rights"] != "single"
        self._first = config["first_id"] if config["rights"] == "root" else 0
        self._made: dict[int, int] = {}
        self.own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        """The keeper's own process namespace."""

    def first(self, index: int) -> int:
        """Return the first id of a slot's range, as the keeper counts ids."""
        return self._first + (index + 1) * grants.RANGE if self._ranges else -confine.INNER_ID

    def shift(self, index: int) -> int:
        """Return what separates a slot's ids from those its commands see."""
        return self.first(index) if self._ranges else 0

    def get(self, index: int) -> int:
        """Return the user namespace of a slot's place, or -1 where there are no ranges."""
        if not self._ranges:
            return -1
        if index not in self._made:
            self._made[index] = _make(self.first(index))
        return self._made[index]

    def can_map(self, path: str) -> bool:
        """Whether the file system at `path` can show its owners as another range."""
        if not self._ranges:
            return False
        try:
            tree = mounts.clone_tree(path)
            try:
                mounts.map_ids(tree, self.get(0))
            finally:
                os.close(tree)
        except OSError:
            return False
        return True


def _make(first: int) -> int:
    """Return a new user namespace whose ids, from 0, are a range that begins at `first`."""
    ready, go = os.pipe()
    owner = os.fork()
    if owner == 0:
        try:
            linux.unshare(linux.CLONE_NEWUSER)
            os.write(go, b"!")
            signal.pause()
        finally:
            os._exit(1)
    os.close(go)
    try:
        if os.read(ready, 1) != b"!":
            raise PermissionError(1, "no user namespace for a slot")
        for kind in ("uid", "gid"):
            confine.put(f"/proc/{owner}/{kind}_map", f"0 {first} {grants.RANGE}")
        return os.open(f"/proc/{owner}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
