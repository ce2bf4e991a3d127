"""Passing bytes between a slot and a server, within bounds."""

import asyncio
import re

from treadle_sandbox.network.dial import BUFFER, Link

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_TRAILERS_MOST = 64
_END = b"\r\n"


class BodyError(ValueError):
    """A request's body is broken, or longer than it may be."""


class Relay:
    """Two connections, and the time after which silence on both ends them."""

    def __init__(self, inner: Link, outer: Link, *, idle: float) -> None:
        self._inner, self._outer = inner, outer
        self._idle = idle
        self._clock: asyncio.Timeout | None = None
        self.sent = 0
        """Bytes that went out of the slot."""
        self.received = 0
        """Bytes that came into the slot."""

    async def tunnel(self, first: bytes) -> None:
        """Pass everything both ways, beginning with bytes that were read already."""
        async with asyncio.timeout(self._idle) as self._clock:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_all(first))
                group.create_task(self._receive_all())

    async def exchange(self, head: bytes, length: int, *, most: int) -> None:
        """Send one request and pass its response back; nothing that follows the body is sent.

        Raises:
            BodyError: broken chunks, or more than `most` bytes.
        """
        async with asyncio.timeout(self._idle) as self._clock:
            await self._send(head)
            async with asyncio.TaskGroup() as group:
                body = group.create_task(self._send_body(length, most))
                await self._receive_all()
                body.cancel()

    def _alive(self) -> None:
        assert self._clock is not None
        if not self._clock.expired():
            self._clock.reschedule(asyncio.get_running_loop().time() + self._idle)

    async def _send(self, data: bytes) -> None:
        self._alive()
        self.sent += len(data)
        self._outer[1].write(data)
        await self._outer[1].drain()

    async def _send_all(self, first: bytes) -> None:
        await self._send(first)
        while data := await self._inner[0].read(BUFFER):
            await self._send(data)
        self._outer[1].write_eof()

    async def _receive_all(self) -> None:
        while data := await self._outer[0].read(BUFFER):
            self._alive()
            self.received += len(data)
            self._inner[1].write(data)
            await self._inner[1].drain()
        self._inner[1].write_eof()

    async def _send_body(self, length: int, most: int) -> None:
        if length >= 0:
            await self._send_exactly(length, most)
            return
        left = most
        while size := await self._read_size():
            left -= size
            await self._send(f"{size:x}\r\n".encode())
            await self._send_exactly(size, left + size)
            if await self._inner[0].readexactly(len(_END)) != _END:
                raise BodyError("a chunk that doesn't end where it should")
            await self._send(_END)
        for _ in range(_TRAILERS_MOST):
            if await self._inner[0].readuntil(_END) == _END:
                await self._send(b"0\r\n\r\n")
                return
        raise BodyError("too many trailers")

    async def _read_size(self) -> int:
        match = _SIZE.fullmatch(await self._inner[0].readuntil(_END))
        if match is None:
            raise BodyError("a chunk without a size")
        return int(match[1], 16)

    async def _send_exactly(self, length: int, most: int) -> None:
        if length > most:
            raise BodyError("a body longer than it may be")
        while length:
            data = await self._inner[0].read(min(BUFFER, length))
            if not data:
                raise BodyError("a body shorter than it says")
            length -= len(data)
            await self._send(data)
