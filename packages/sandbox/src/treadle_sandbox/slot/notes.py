"""The wire between the host and its keeper: one dictionary a packet, with descriptors.

Both ends are trusted: no slot ever holds this socket while it runs a command.
"""

import array
import marshal
import socket
from typing import Any

_SIZE_MOST = 64_000
_DESCRIPTORS_MOST = 16


def send(peer: socket.socket, note: "dict[str, Any]", *descriptors: int) -> None:
    """Send a note; the descriptors stay open here."""
    passed = array.array("i", descriptors)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if descriptors else []
    peer.sendmsg([marshal.dumps(note)], rights)


def receive(peer: socket.socket) -> "tuple[dict[str, Any], list[int]] | None":
    """Return the next note and its descriptors, or `None` when the other end is gone."""
    room = socket.CMSG_SPACE(_DESCRIPTORS_MOST * 4)
    try:
        data, ancillary, _, _ = peer.recvmsg(_SIZE_MOST, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    descriptors: list[int] = []
    for level, kind, raw in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            passed = array.array("i")
            passed.frombytes(raw[: len(raw) - len(raw) % passed.itemsize])
            descriptors += passed
    return (marshal.loads(data), descriptors) if data else None
