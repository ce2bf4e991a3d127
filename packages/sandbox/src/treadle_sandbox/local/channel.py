"""The host's end of a slot's control socket: numbered requests out, replies in.

Whatever the slot sends is treated as hostile: replies are numbers and bounded byte strings, and
anything else closes the socket. Each request has a deadline of its own.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from treadle_sandbox.errors import SlotLostError
from treadle_sandbox.slot import frames

_REPLY_MOST = 1100 << 20
GREETING = 0
"""Number of the reply that a slot sends by itself when it is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a slot."""

    error: int
    exit_code: int
    flags: int
    stdout_bytes: int
    stderr_bytes: int
    seconds: float
    first: bytes
    second: bytes


class Channel(asyncio.Protocol):
    """Matches replies to requests."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._last = GREETING
        self.lost = False
        """Whether the other end is gone or misbehaved."""
        self.greeting = self._expect(GREETING)

    def _expect(self, number: int) -> asyncio.Future[Reply]:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        return future

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everyone who waits with an error."""
        self._fail("the slot's process died (out of memory, or killed); take a new lease")

    def _fail(self, reason: str) -> None:
        self.lost = True
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(SlotLostError(reason))
                future.exception()

    def data_received(self, data: bytes) -> None:
        """Take in bytes and resolve the replies they complete."""
        buffer = self._buffer
        buffer += data
        header = frames.REPLY
        while len(buffer) >= header.size:
            number, error, code, flags, out, err, micros, first, second = header.unpack_from(buffer)
            middle = header.size + first
            if first + second > _REPLY_MOST:
                self.close()
                return
            if len(buffer) < middle + second:
                return
            reply = Reply(
                error=error,
                exit_code=code,
                flags=flags,
                stdout_bytes=out,
                stderr_bytes=err,
                seconds=micros / 1e6,
                first=bytes(buffer[header.size : middle]),
                second=bytes(buffer[middle : middle + second]),
            )
            del buffer[: middle + second]
            future = self._waiting.pop(number, None)
            if future is not None and not future.done():
                future.set_result(reply)

    def send(self, request: dict[str, Any]) -> tuple[int, asyncio.Future[Reply]]:
        """Send a request, with its number as `id`; return the number and the reply to come.

        Raises:
            SlotLostError: the slot is gone.
        """
        if self.lost or self._transport is None:
            raise SlotLostError("the slot's process is gone; take a new lease")
        self._last += 1
        future = self._expect(self._last)
        request["id"] = self._last
        self._transport.write(frames.encode_request(request))
        return self._last, future

    def send_raw(self, data: bytes) -> None:
        """Send bytes that aren't a request."""
        if self._transport is not None:
            self._transport.write(data)

    async def settle(self, target: int, *, timeout: float) -> None:
        """Ask the slot to end what request `target` started, and wait for its reply."""
        if self.lost or self._transport is None or target not in self._waiting:
            return
        future = self._expect(target)
        request = {"id": 0, "op": "cancel", "target": target}
        self._transport.write(frames.encode_request(request))
        await asyncio.wait({future}, timeout=timeout)

    async def wait(self, future: asyncio.Future[Reply], *, timeout: float) -> Reply:
        """Return the reply.

        Raises:
            SlotLostError: the slot is gone, or didn't answer within `timeout` seconds.
        """
        if future.done():
            return future.result()
        timer = future.get_loop().call_later(timeout, self._give_up, future, timeout)
        try:
            return await future
        finally:
            timer.cancel()

    def _give_up(self, future: asyncio.Future[Reply], timeout: float) -> None:
        if not future.done():
            reason = f"the slot didn't answer within {timeout:g} s; take a new lease"
            future.set_exception(SlotLostError(reason))
            self.close()

    def close(self) -> None:
        """Close the socket at once: the slot then ends by itself."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()
