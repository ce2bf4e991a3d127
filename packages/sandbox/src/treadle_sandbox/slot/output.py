"""One bounded output stream of a command: its beginning, its end and its true length.

Memory stays within about twice the limit, however much is written.
"""

import os

_PIECE = 65_536
_MARK_ROOM = 48


class Capture:
    """Collects what comes out of a pipe."""

    __slots__ = ("_head", "_limit", "_tail", "descriptor", "open", "total")

    def __init__(self, limit: int, descriptor: int = -1) -> None:
        self.descriptor = descriptor
        self.open = True
        self.total = 0
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()

    def read(self) -> int:
        """Take one piece from the pipe; return its size, 0 when nothing is there now."""
        try:
            piece = os.read(self.descriptor, _PIECE)
        except BlockingIOError:
            return 0
        if not piece:
            self.open = False
            return 0
        self._keep(piece)
        return len(piece)

    def drain(self, room: int) -> None:
        """Take what is in the pipe now, at most about `room` bytes: a writer that never stops can't
        hold us.
        """
        while self.open and room > 0:
            size = self.read()
            if not size:
                break
            room -= size

    def _keep(self, piece: bytes) -> None:
        self.total += len(piece)
        free = self._limit - len(self._head)
        if free > 0:
            self._head += piece[:free]
            piece = piece[free:]
        self._tail += piece
        if len(self._tail) > self._limit + _PIECE:
            del self._tail[: len(self._tail) - self._limit]

    @property
    def truncated(self) -> bool:
        """Whether more was written than is kept."""
        return self.total > self._limit

    def value(self) -> bytes:
        """Return what is kept, never longer than the limit: all of it, or head, a line that says
        how much is missing, and tail.
        """
        if not self.truncated:
            return bytes(self._head)
        if self._limit < 4 * _MARK_ROOM:
            return bytes(self._head)
        room = self._limit - _MARK_ROOM
        head = room - room // 2
        end = (self._head + self._tail)[-(room // 2) :]
        mark = f"\n[... {self.total - head - len(end)} bytes omitted ...]\n"
        return bytes(self._head[:head]) + mark.encode() + bytes(end)
