"""The calls of one lease: with its token, its epoch, and a key for each that changes something."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from treadle_sandbox import errors, wire
from treadle_sandbox.remote.connection import Reply
from treadle_sandbox.remote.transport import Transport, authorize

_END_TIMEOUT = 30.0
_LONGEST = 10_000_000.0
_JSON = b"content-type: application/json\r\n"
Result = TypeVar("Result")


class LeaseCalls:
    """Sends the calls of a lease."""

    def __init__(
        self,
        transport: Transport,
        *,
        name: str,
        token: str,
        epoch: int,
        boot: str,
        grace: float,
    ) -> None:
        self._transport = transport
        self._grace = grace
        self._boot = boot
        self._path = f"/v1/leases/{name}".encode("ascii")
        self._head = authorize(token) + f"{wire.EPOCH}: {epoch}\r\n".encode("ascii")
        self._name = name
        self._prefix = secrets.token_hex(4)
        self._count = 0

    async def get(self, target: str, *, timeout: float = 0.0, **query: Any) -> Reply:
        """Ask for something, which may itself take `timeout` seconds."""
        limit = (timeout if 0 < timeout < _LONGEST else 0.0) + self._grace
        path = self._path + (target + _query(query)).encode("ascii")
        return self._check(await self._send(b"GET", path, head=self._head, body=b"", timeout=limit))

    async def change(
        self,
        target: str,
        body: bytes = b"",
        *,
        method: bytes = b"POST",
        kind: bytes = b"",
        timeout: float = 0.0,
        **query: Any,
    ) -> Reply:
        """Make a call that the server runs once; cancelled, it is ended there first."""
        self._count += 1
        key = f"{self._prefix}-{self._count}"
        path = self._path + (target + _query(query) if query else target).encode("ascii")
        head = b"%bidempotency-key: %b\r\n%b" % (self._head, key.encode("ascii"), kind)
        limit = (timeout if 0 < timeout < _LONGEST else 0.0) + self._grace
        try:
            reply = await self._send(method, path, head=head, body=body, timeout=limit)
        except asyncio.CancelledError:
            await finish(self._end(key))
            raise
        return self._check(reply)

    async def post_json(self, target: str, value: Any, *, timeout: float = 0.0) -> Reply:
        """Make a call with a JSON body."""
        return await self.change(target, wire.dump_json(value), kind=_JSON, timeout=timeout)

    async def _end(self, key: str) -> None:
        path = self._path + f"/calls/{key}".encode("ascii")
        with contextlib.suppress(errors.SandboxError):
            await self._send(b"DELETE", path, head=self._head, body=b"", timeout=_END_TIMEOUT)

    async def _send(
        self, method: bytes, path: bytes, *, head: bytes, body: bytes, timeout: float
    ) -> Reply:
        try:
            return await self._transport.call(method, path, head=head, body=body, timeout=timeout)
        except errors.ServerError as error:
            raise errors.SlotLostError(f"lease {self._name}: {error}") from error

    def _check(self, reply: Reply) -> Reply:
        if reply.status < 300:
            return reply
        error = wire.decode_error(reply.status, reply.body)
        if isinstance(error, errors.ServerError):
            raise errors.SlotLostError(f"lease {self._name}: {error}")
        if isinstance(error, errors.LeaseClosedError) and self._restarted(reply.body):
            raise errors.SlotLostError(f"lease {self._name} ended: its server was started anew")
        raise error

    def _restarted(self, body: bytes) -> bool:
        boot = json.loads(body)["error"].get("boot")
        return boot is not None and boot != self._boot


def read_json(reply: Reply) -> Any:
    """Return the JSON of an answer. Raises ServerError."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise errors.ServerError(f"the server's answer is no JSON: {reply.body[:100]!r}") from error


def _query(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    pairs = (f"{name}={_escape(value)}" for name, value in values.items())
    return "?" + "&".join(pairs)


def _escape(value: Any) -> str:
    return quote(str(value).encode("utf-8", "surrogateescape"), safe="")


def escape_name(name: str) -> str:
    """Return a name as one part of a path. Raises InvalidCommandError when it can't be one."""
    if not name or name in (".", "..") or len(name) > 200 or quote(name, safe="") != name:
        raise errors.InvalidCommandError(
            f"{name!r} can't be a name here: give letters, digits, '_', '-', '.' or '~'"
        )
    return name


async def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Await work to its end even when the caller is cancelled, then let the cancellation go on."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise
