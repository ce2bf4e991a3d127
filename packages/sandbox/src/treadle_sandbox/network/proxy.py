"""The way out of a slot: an HTTP proxy that reaches what an allow-list names, and nothing else.

It runs in the backend's process and serves one listening socket, which was made inside the slot's
network namespace: the slot has no other way out. It takes CONNECT, which carries TLS, and plain
`http://` requests, one a connection. In a tunnel to a name the TLS greeting must name the same
host, openly. Every refusal is one line that the command sees, and is counted.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from treadle_sandbox.network.dial import BUFFER, Link, Resolve, dial
from treadle_sandbox.network.greeting import ACCESS_DENIED, GREETING_MOST, parse_greeting
from treadle_sandbox.network.policy import Policy, parse_host
from treadle_sandbox.network.refusal import Reason, Refusal
from treadle_sandbox.network.relay import BodyError, Relay
from treadle_sandbox.network.requests import HEAD_MOST, Request, parse_request

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_PAUSE = 0.05
_BLANK = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyLimits:
    """Bounds for one slot."""

    connections: int = 64
    head_seconds: float = 10.0
    """In which a request's head, and then a TLS greeting, must have arrived."""
    connect_seconds: float = 10.0
    idle_seconds: float = 120.0
    """After which a connection ends on which nothing moved."""
    body_bytes: int = 1 << 30
    """Body of a plain request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyStatistics:
    """What a proxy did so far."""

    connections: int
    open: int
    allowed: int
    refused: Mapping[str, int]
    """By `Reason`."""
    sent_bytes: int
    received_bytes: int


class AllowListProxy:
    """Serves one slot's listening socket, and closes it at the end."""

    def __init__(
        self,
        listener: socket.socket,
        policy: Policy,
        *,
        resolve: Resolve,
        limits: ProxyLimits | None = None,
    ) -> None:
        self._listener = listener
        self._policy = policy
        self._resolve = resolve
        self._limits = limits or ProxyLimits()
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._connections = self._allowed = self._sent = self._received = 0
        self._refused: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to serve."""
        self._listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())

    async def aclose(self) -> None:
        """End every connection. May be called again."""
        tasks = [*self._serving, *((self._accepting,) if self._accepting else ())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._listener.close()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def statistics(self) -> ProxyStatistics:
        """Return the counters."""
        return ProxyStatistics(
            connections=self._connections,
            open=len(self._serving),
            allowed=self._allowed,
            refused=dict(self._refused),
            sent_bytes=self._sent,
            received_bytes=self._received,
        )

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(self._limits.connections)
        while True:
            # Who finds no room waits in the listening socket's own short queue.
            await room.acquire()
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError:
                # Gone again, or this process is out of descriptors for now.
                room.release()
                await asyncio.sleep(_PAUSE)
                continue
            self._connections += 1
            task = asyncio.create_task(self._serve(connection))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            task.add_done_callback(lambda _: room.release())

    async def _serve(self, connection: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=connection, limit=BUFFER)
        except BaseException:
            connection.close()
            raise
        try:
            # The other end may be gone at any moment; that is its right.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                refusal = await self._answer((reader, writer))
                if refusal is not None:
                    self._refused[refusal.reason] += 1
                    writer.write(refusal.response())
                    await self._finish_politely(reader, writer)
        finally:
            await _close(writer)

    async def _answer(self, inner: Link) -> Refusal | None:
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                head = await inner[0].readuntil(_BLANK)
        except TimeoutError:
            return Refusal(reason=Reason.SLOW, line="the request didn't arrive in time")
        except asyncio.LimitOverrunError:
            head = b"x" * (HEAD_MOST + 1)
        if len(head) > HEAD_MOST:
            return Refusal(reason=Reason.TOO_LARGE, line="the request's head is too large")
        request = parse_request(head)
        if isinstance(request, Refusal):
            return request
        found = await dial(
            self._policy,
            self._resolve,
            request.host,
            request.port,
            timeout=self._limits.connect_seconds,
        )
        if isinstance(found, Refusal):
            return found
        relay = Relay(inner, found, idle=self._limits.idle_seconds)
        refusal: Refusal | None = None
        try:
            if request.tunnel:
                refusal = await self._tunnel(request, inner, relay)
            else:
                refusal = await self._exchange(request, relay)
        except* (OSError, asyncio.IncompleteReadError):
            # One end left, or nothing moved for too long: what was passed on is all there is.
            pass
        finally:
            self._sent += relay.sent
            self._received += relay.received
            await _close(found[1])
        return refusal

    async def _exchange(self, request: Request, relay: Relay) -> Refusal | None:
        self._allowed += 1
        line = ""
        try:
            most = self._limits.body_bytes
            await relay.exchange(request.head, request.length, most=most)
        except* (BodyError, asyncio.LimitOverrunError) as group:
            line = "; ".join(str(error) for error in group.exceptions)
        if not line or relay.received:
            return None
        return Refusal(reason=Reason.TOO_LARGE, line=line)

    async def _tunnel(self, request: Request, inner: Link, relay: Relay) -> Refusal | None:
        inner[1].write(_ESTABLISHED)
        first = b""
        if isinstance(request.host, str):
            try:
                async with asyncio.timeout(self._limits.head_seconds):
                    first, reason = await _read_greeting(inner[0], request.host)
            except TimeoutError:
                reason = Reason.SLOW
            if reason is not None:
                self._refused[reason] += 1
                inner[1].write(ACCESS_DENIED)
                return None
        self._allowed += 1
        await relay.tunnel(first)
        return None

    async def _finish_politely(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Let the answer arrive: closing on unread bytes would take it back."""
        await writer.drain()
        writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while await reader.read(BUFFER):
                    pass


async def _read_greeting(reader: asyncio.StreamReader, host: str) -> tuple[bytes, Reason | None]:
    """Return what was read, and what is wrong with it."""
    data = b""
    while len(data) < GREETING_MOST:
        piece = await reader.read(BUFFER)
        data += piece
        try:
            greeting = parse_greeting(data)
        except ValueError:
            return data, Reason.NOT_TLS
        if not piece:
            return data, Reason.NOT_TLS
        if greeting is None:
            continue
        if greeting.encrypted:
            return data, Reason.HIDDEN_NAME
        named = None if greeting.name is None else parse_host(greeting.name)
        return data, None if named == host else Reason.SERVER_NAME
    return data, Reason.TOO_LARGE


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
