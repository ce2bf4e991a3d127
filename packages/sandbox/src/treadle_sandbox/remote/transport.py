"""Calls of a server over connections that are kept.

Every call has a deadline. A call whose connection was lost is sent again, at most twice: all calls
may be, since they name what they make or carry a key under which the server runs them once.
"""

import asyncio
import ssl
import time
from urllib.parse import urlsplit

from treadle_sandbox import errors
from treadle_sandbox.remote.connection import Connection, Reply

_PAUSES = (0.0, 0.05, 0.3)
_CONNECT_TIMEOUT = 10.0


class Transport:
    """The connections to one server."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.ConfigError(f"{url!r} is no address of a server: give http://HOST:PORT")
        self.url = url
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/").encode("ascii")
        self._idle: list[Connection] = []
        self._closed = False
        host = parts.netloc.rpartition("@")[2].encode("idna" if not parts.port else "ascii")
        self._lead = b"host: " + host + b"\r\n"
        self.authorization = authorize(token)

    async def call(
        self, method: bytes, target: bytes, *, head: bytes, body: bytes = b"", timeout: float
    ) -> Reply:
        """Return the answer, whatever its status. `head` are header lines.

        Raises:
            ServerError: the server can't be reached, or doesn't answer in time.
        """
        request = b"%b %b%b HTTP/1.1\r\n%bcontent-length: %d\r\n%b\r\n%b" % (
            method,
            self._prefix,
            target,
            self._lead,
            len(body),
            head,
            body,
        )
        deadline = time.monotonic() + timeout
        failure = OSError("not tried")
        for pause in _PAUSES:
            if pause:
                await asyncio.sleep(pause)
            try:
                return await self._exchange(request, deadline)
            except TimeoutError as error:
                raise errors.ServerError(f"{self.url}: {error or 'no answer in time'}") from error
            except OSError as error:
                failure = error
        raise errors.ServerError(f"{self.url} can't be reached: {failure}") from failure

    async def _exchange(self, request: bytes, deadline: float) -> Reply:
        if self._closed:
            raise errors.BackendStateError(f"the connection to {self.url} is closed")
        connection = None
        while self._idle and connection is None:
            kept = self._idle.pop()
            connection = kept if kept.usable else None
        if connection is None:
            connection = await self._connect(deadline)
        reply = await connection.exchange(request, max(0.001, deadline - time.monotonic()))
        if connection.usable and not self._closed:
            self._idle.append(connection)
        else:
            connection.abort()
        return reply

    async def _connect(self, deadline: float) -> Connection:
        loop = asyncio.get_running_loop()
        limit = min(_CONNECT_TIMEOUT, max(0.001, deadline - time.monotonic()))
        try:
            async with asyncio.timeout(limit):
                _, connection = await loop.create_connection(
                    Connection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise TimeoutError(f"no connection within {limit:.1f} seconds") from None
        return connection

    def close(self) -> None:
        """Close the connections that no call uses; the others close after their call."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()


def authorize(token: str | None) -> bytes:
    """Return the header line for a token."""
    if token is None:
        return b""
    if not (token.isascii() and token.isprintable()):
        raise errors.ConfigError("a token holds only printable ASCII characters")
    return b"authorization: Bearer " + token.encode("ascii") + b"\r\n"
