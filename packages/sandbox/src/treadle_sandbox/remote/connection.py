"""One HTTP/1.1 connection of the client: one request, one answer, again.

Enough of the protocol for our server and for proxies before it: answers with a length, in chunks,
or up to the end of the connection. It does little per call, since a call is what a command costs.
"""

import asyncio
from dataclasses import dataclass

_HEAD_LIMIT = 65_536


@dataclass(slots=True)
class Reply:
    """An answer."""

    status: int
    head: bytes
    """The head in lower case."""
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a header, in lower case."""
        before, found, after = self.head.partition(f"\r\n{name}:".encode("ascii"))
        return after.partition(b"\r\n")[0].strip().decode("latin-1") if found and before else None


class Connection(asyncio.Protocol):
    """A connection that carries one exchange at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._buffer = bytearray()
        self._body_at = 0
        self._length: int | None = None
        self._chunks: _Chunks | None = None
        self.usable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the exchange, unless the end of the connection is the end of the answer."""
        self.usable = False
        if self._body_at and self._length is None and self._chunks is None and exc is None:
            self._finish(bytes(self._buffer[self._body_at :]))
        self._fail(exc or ConnectionResetError("the server closed the connection"))

    async def exchange(self, request: bytes, timeout: float) -> Reply:
        """Send a request and return its answer. Raises OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        if self._transport is None or not self.usable:
            raise ConnectionResetError("the connection is closed")
        self._waiter = waiter = loop.create_future()
        timer = loop.call_later(timeout, self._expire, timeout)
        try:
            self._transport.write(request)
            return await waiter
        finally:
            timer.cancel()
            if not waiter.done() or waiter.cancelled() or waiter.exception() is not None:
                self.abort()

    def _expire(self, timeout: float) -> None:
        self._fail(TimeoutError(f"no answer within {timeout:.1f} seconds"))

    def abort(self) -> None:
        """Close at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer."""
        if self._waiter is None or self._waiter.done():
            self.abort()
            return
        self._buffer += data
        if not self._body_at and not self._read_head():
            return
        if self._chunks is not None:
            body = self._chunks.feed(self._buffer, self._body_at)
            if body is not None:
                self._finish(body)
        elif self._length is not None and len(self._buffer) >= self._body_at + self._length:
            self._finish(bytes(self._buffer[self._body_at : self._body_at + self._length]))

    def _read_head(self) -> bool:
        """Read the head when all of it is there."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                self._fail(ConnectionError("the head of the answer is too long"))
            return False
        head = bytes(self._buffer[: end + 2]).lower()
        try:
            if not head.startswith(b"http/1."):
                raise ValueError(head[:20])
            status = int(head[9:12])
            if 100 <= status < 200:
                del self._buffer[: end + 4]
                return self._read_head()
            reply = Reply(status, head, b"")
            length = reply.header("content-length")
            self._length = None if length is None else int(length)
        except ValueError as error:
            self._fail(ConnectionError(f"the server doesn't speak HTTP: {error}"))
            return False
        if status in (204, 304):
            self._length = 0
        if b"\r\ntransfer-encoding: chunked" in head:
            self._chunks = _Chunks()
        self._reply = reply
        self._body_at = end + 4
        return True

    def _finish(self, body: bytes) -> None:
        reply, waiter = self._reply, self._waiter
        reply.body = body
        if self._length is None and self._chunks is None:
            self.usable = False
        if b"\r\nconnection: close" in reply.head:
            self.abort()
        self._buffer = bytearray()
        self._body_at, self._chunks = 0, None
        self._waiter = None
        if waiter is not None and not waiter.done():
            waiter.set_result(reply)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class _Chunks:
    """A body in chunks, as far as it came."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at: int | None = None

    def feed(self, buffer: bytearray, begin: int) -> bytes | None:
        """Return the body when it is complete."""
        at = begin if self._at is None else self._at
        while True:
            end = buffer.find(b"\r\n", at)
            if end < 0:
                break
            size = int(bytes(buffer[at:end]).partition(b";")[0], 16)
            if size == 0:
                if buffer.find(b"\r\n\r\n", end - 2) < 0:
                    break
                return b"".join(self._parts)
            if len(buffer) < end + 2 + size + 2:
                break
            self._parts.append(bytes(buffer[end + 2 : end + 2 + size]))
            at = end + 2 + size + 2
        self._at = at
        return None
