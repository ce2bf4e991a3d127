"""One bounded output stream that arrives in pieces: its beginning, its end and its true length."""

_MARK_ROOM = 48
_SLACK = 65_536


class Kept:
    """Keeps about twice `limit` bytes, however much is added."""

    __slots__ = ("_head", "_limit", "_tail", "total")

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self.total += len(piece)
        free = self._limit - len(self._head)
        if free > 0:
            self._head += piece[:free]
            piece = piece[free:]
        self._tail += piece
        if len(self._tail) > self._limit + _SLACK:
            del self._tail[: len(self._tail) - self._limit]

    @property
    def truncated(self) -> bool:
        """Whether more came than is kept."""
        return self.total > self._limit

    def value(self) -> bytes:
        """Return all of it, or head, a line that says how much is missing, and tail."""
        if not self.truncated or self._limit < 4 * _MARK_ROOM:
            return bytes(self._head)
        room = self._limit - _MARK_ROOM
        head = room - room // 2
        end = bytes((self._head + self._tail)[-(room // 2) :])
        mark = f"\n[... {self.total - head - len(end)} bytes omitted ...]\n"
        return bytes(self._head[:head]) + mark.encode() + end


class Window:
    """Keeps the last `keep` bytes of a stream, addressed by their offset in all of it."""

    __slots__ = ("_data", "_keep", "total")

    def __init__(self, keep: int) -> None:
        self.total = 0
        self._keep = keep
        self._data = bytearray()

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self.total += len(piece)
        self._data += piece
        if len(self._data) > self._keep:
            del self._data[: len(self._data) - self._keep]

    def first(self, offset: int) -> int:
        """Return where what is still held from `offset` on begins."""
        return max(offset, self.total - len(self._data))

    def read(self, offset: int, limit: int) -> bytes:
        """Return at most `limit` bytes from `first(offset)` on."""
        start = self.first(offset) - (self.total - len(self._data))
        return bytes(self._data[start : start + limit])
