"""The files of a slot, or of a snapshot: one bounded file system in memory each.

A volume is a tmpfs at `/sys/NUMBER` of the keeper's mount namespace, which no slot sees. Below
`top` it has a folder for each writable tree of a slot, owned by the slot's ids; a snapshot's volume
has the same, with the ids as the slot sees them. A tree with something below it is an overlay: the
folder is then its upper layer. What a slot writes is so bounded by its volume's size, and deleting
all of it is one unmount.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH101, PTH102, PTH103, PTH112, PTH116, PTH123

import os
import stat
from typing import Any

from treadle_sandbox.slot import grants, linux, mounts

STORE = "/sys"
"""Where volumes are; the keeper's own mount namespace has no other use for it."""
SKELETON = f"{STORE}/skeleton"
"""Where files are that all slots begin with and may change."""
_QUIET = linux.MS_NOSUID | linux.MS_NODEV
LAYERS_MOST = 60
"""Snapshots of snapshots: the options of an overlay must fit one page."""


class Tree:
    """A writable folder of a slot."""

    __slots__ = ("base", "mode", "name", "owner", "target")

    def __init__(self, row: "tuple[str, str, str, int, int]") -> None:
        self.name, self.target, self.base, self.mode, self.owner = row
        """Folder in the volume, path in the slot, host path below it or "", mode, inner owner."""


def make_store() -> None:
    """Make the place for volumes in this mount namespace."""
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_SLAVE)
    linux.mount("treadle", STORE, "tmpfs", _QUIET, "mode=0700,size=16m")


def path(number: int) -> str:
    """Return where a volume is."""
    return f"{STORE}/{number}"


def make(number: int, size: int, files: int) -> str:
    """Make an empty volume and return its path."""
    place = path(number)
    os.mkdir(place, 0o700)
    linux.mount("treadle", place, "tmpfs", _QUIET, f"mode=0700,size={size},nr_inodes={files}")
    os.mkdir(f"{place}/top", 0o755)
    return place


def remove(number: int) -> None:
    """Delete a volume and everything in it, and what is mounted below it."""
    place = path(number)
    for call in (linux.unmount_lazily, os.rmdir):
        try:
            call(place)
        except OSError:
            continue


def is_small(number: int, room: int, files: int) -> bool:
    """Whether copying or freeing a volume is a matter of a millisecond."""
    found = os.statvfs(path(number))
    return used(number) <= room and found.f_files - found.f_ffree <= files


def used(number: int) -> int:
    """Return the bytes a volume takes."""
    found = os.statvfs(path(number))
    return (found.f_blocks - found.f_bfree) * found.f_frsize


class Trees:
    """Makes the mounts of one slot's writable trees, while still in the keeper's namespace."""

    def __init__(self, number: int, chain: "tuple[int, ...]", config: "dict[str, Any]") -> None:
        self._place = path(number)
        self._chain = chain
        self._private = config["rights"] == "root"
        self._first: int = config["slot_ids"]
        self._users: int = config["user_namespace"]
        self._mapped: bool = config["mapped"]
        self._config = config

    def make(self, tree: Tree) -> int:
        """Return a tree as a detached mount."""
        upper = f"{self._place}/top/{tree.name}"
        lower = [layer for layer in map(path, self._chain) if _has(layer, tree.name)]
        if not os.path.isdir(upper):
            os.mkdir(upper)
            mode = tree.mode
            if lower:
                mode = stat.S_IMODE(os.stat(f"{lower[0]}/top/{tree.name}").st_mode)
            owner = self._first + tree.owner if self._users >= 0 else 0
            os.chown(upper, owner, owner)
            os.chmod(upper, mode)
            if tree.target == "/" and not lower:
                self._prepare_image(upper)
        lowers = [self._show(f"{layer}/top", at) for at, layer in enumerate(lower)]
        lowers = [f"{layer}/{tree.name}" for layer in lowers]
        if tree.base:
            name = f"b-{tree.name}"
            lowers.append(self._show(tree.base, name) if self._mapped else tree.base)
        return self._overlay(tree.name, lowers) if lowers else mounts.clone_tree(upper)

    def _prepare_image(self, upper: str) -> None:
        """Put into the upper layer of a whole image what differs from it in every slot."""
        root = self._first if self._mapped else 0
        user = self._first + grants.USER if self._users >= 0 else 0
        for place, data in self._config["files"]:
            self._make_parents(upper, place, root)
            with open(f"{upper}{place}", "wb") as file:
                file.write(data)
            os.chmod(f"{upper}{place}", 0o644)
            os.chown(f"{upper}{place}", root, root)
        for place in self._config["hidden"]:
            self._make_parents(upper, place, root)
            os.mknod(f"{upper}{place}", stat.S_IFCHR, 0)
        workspace = f"{upper}{self._config['workdir']}"
        os.makedirs(workspace, exist_ok=True)
        os.chmod(workspace, 0o755)
        os.chown(workspace, user, user)

    def _make_parents(self, upper: str, place: str, owner: int) -> None:
        """Make the folders above a path as they are in the image."""
        above = ""
        for part in place.split("/")[1:-1]:
            above = f"{above}/{part}"
            if not os.path.isdir(upper + above):
                os.mkdir(upper + above)
                os.chown(upper + above, owner, owner)
                os.chmod(upper + above, stat.S_IMODE(os.stat(above).st_mode))

    def _show(self, source: str, name: "int | str") -> str:
        """Return a path where `source` shows with this slot's owners."""
        if self._users < 0:
            return source
        target = f"{self._place}/low/{name}"
        if not os.path.isdir(target):
            os.makedirs(target)
            layer = mounts.clone_tree(source)
            mounts.map_ids(layer, self._users)
            mounts.attach(layer, target)
        return target

    def _overlay(self, name: str, lowers: "list[str]") -> int:
        work, merged = f"{self._place}/work/{name}", f"{self._place}/merged/{name}"
        os.makedirs(work)
        os.makedirs(merged)
        options = f"lowerdir={':'.join(lowers)},upperdir={self._place}/top/{name},workdir={work}"
        extra = "redirect_dir=on,index=off,metacopy=off" if self._private else "userxattr"
        linux.mount("overlay", merged, "overlay", _QUIET, f"{options},{extra}")
        try:
            return mounts.clone_tree(merged)
        finally:
            linux.unmount_lazily(merged)


def _has(layer: str, name: str) -> bool:
    return os.path.isdir(f"{layer}/top/{name}")
