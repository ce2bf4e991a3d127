"""An output that is read by offset: its last bytes and where they begin."""

import os

_PIECE = 65_536


class Stream:
    """The last bytes of one output."""

    __slots__ = ("_keep", "_kept", "begin", "descriptor", "open")

    def __init__(self, descriptor: int, keep: int) -> None:
        self.descriptor = descriptor
        self.open = True
        self.begin = 0
        self._kept = bytearray()
        self._keep = keep

    @property
    def end(self) -> int:
        """How much was written in all."""
        return self.begin + len(self._kept)

    def read(self) -> int:
        """Take one piece from the pipe; return its size, 0 when nothing is there now."""
        try:
            piece = os.read(self.descriptor, _PIECE)
        except BlockingIOError:
            return 0
        if not piece:
            self.open = False
            return 0
        self._kept += piece
        if len(self._kept) > self._keep + _PIECE:
            self.drop(len(self._kept) - self._keep)
        return len(piece)

    def drop(self, size: int) -> None:
        """Forget the first bytes that are kept."""
        self.begin += min(size, len(self._kept))
        del self._kept[:size]

    def cut(self, offset: int, limit: int) -> "tuple[int, bytes]":
        """Return where the piece at or after an offset begins, and the piece."""
        floor = max(self.begin, self.end - self._keep)
        begin = min(max(offset, floor), self.end)
        place = begin - self.begin
        return begin, bytes(self._kept[place : place + limit])
