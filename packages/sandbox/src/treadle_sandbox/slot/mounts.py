"""Mounts that aren't attached anywhere yet, held as descriptors (Linux 5.2 and later).

A mount made in one mount namespace is so carried into another one, and nothing of the first has to
be visible there. The numbers of these system calls are the same on every machine.
"""

import ctypes
import os

from treadle_sandbox.slot import linux

_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
_HERE = -100
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_CLONE, _CLOEXEC = 1, os.O_CLOEXEC
_FROM_DESCRIPTOR = 4
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_ATTRIBUTES = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8}
_MAP_IDS = 0x00100000


def _call(number: int, what: str, *arguments: object) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return linux.call_number(number, what, *words)


def clone_tree(path: str, *, recursive: bool = False) -> int:
    """Return a detached copy of the mount at `path`, beginning at that folder or file."""
    flags = _CLONE | _CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _call(_OPEN_TREE, f"open_tree {path}", _HERE, path.encode(), flags)


def create(kind: str, attributes: "tuple[str, ...]" = (), **options: str) -> int:
    """Return a new file system of a kind, mounted nowhere; options without a value are flags."""
    context = _call(_FSOPEN, f"fsopen {kind}", kind.encode(), 1)
    try:
        for name, value in options.items():
            command = _SET_STRING if value else _SET_FLAG
            data = value.encode() if value else None
            _call(_FSCONFIG, f"fsconfig {name}", context, command, name.encode(), data, 0)
        _call(_FSCONFIG, f"fsconfig {kind}", context, _CREATE, None, None, 0)
        bits = sum(_ATTRIBUTES[name] for name in attributes)
        return _call(_FSMOUNT, f"fsmount {kind}", context, 1, bits)
    finally:
        os.close(context)


def attach(descriptor: int, target: str) -> None:
    """Attach a detached mount at `target` and close its descriptor."""
    try:
        arguments = (descriptor, b"", _HERE, target.encode(), _FROM_DESCRIPTOR)
        _call(_MOVE_MOUNT, f"move_mount {target}", *arguments)
    finally:
        os.close(descriptor)


def map_ids(descriptor: int, user_namespace: int) -> None:
    """Show the owners of a detached mount as the ids of a user namespace (Linux 5.12).

    The file system must allow it: ext4, xfs and btrfs do, tmpfs since 6.3, overlays don't.
    """
    words = (ctypes.c_uint64 * 4)(_MAP_IDS, 0, 0, user_namespace)
    pointer = ctypes.byref(words)
    _call(_MOUNT_SETATTR, "mount_setattr", descriptor, b"", _AT_EMPTY_PATH, pointer, 32)
