"""A backend over one sandbox server.

While it is open it tells the server that its holder lives: leases of a client that died, or that
can't reach the server any more, are ended by the server after `heartbeat` seconds. That is apart
from a lease's `lifetime`, which only `renew` prolongs.
"""

import asyncio
import contextlib
import json
import secrets
from types import TracebackType
from typing import Any, Literal, Self

from treadle_sandbox import errors, wire
from treadle_sandbox.counters import Counters
from treadle_sandbox.records import Capabilities, Isolation, Limits, Snapshot, Statistics
from treadle_sandbox.remote.calls import LeaseCalls, finish, read_json
from treadle_sandbox.remote.connection import Reply
from treadle_sandbox.remote.lease import RemoteLease
from treadle_sandbox.remote.states import LeaseState, ServerHealth
from treadle_sandbox.remote.transport import Transport, authorize

_SLOT_START = 60.0


class RemoteBackend:
    """The slots of a sandbox server. Enter it before use.

    `url` is `http://HOST:PORT`; `token` the server's; `owner` a label that the server keeps with
    each lease; `heartbeat` the seconds after which leases of a silent client end; a server that
    needs `answer_timeout` seconds more than a call may take counts as lost.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        owner: str = "",
        heartbeat: float = 30.0,
        answer_timeout: float = 30.0,
    ) -> None:
        if not (heartbeat > 0 and answer_timeout > 0):
            raise errors.ConfigError(
                f"heartbeat is {heartbeat}, answer_timeout {answer_timeout}: give seconds above 0"
            )
        self._answer_timeout = answer_timeout
        self._transport = Transport(url, token)
        self._head = authorize(token) + b"content-type: application/json\r\n"
        self._owner = owner
        self._heartbeat = heartbeat
        self._state: Literal["new", "open", "closed"] = "new"
        self._capabilities: Capabilities | None = None
        self._beating: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._leases: dict[str, RemoteLease] = {}
        self._waiting = 0
        self._counters = Counters()
        self._boot = ""

    async def __aenter__(self) -> Self:
        """Ask the server what it has.

        Raises:
            ServerError: it can't be reached.
            UnauthorizedError: it refuses the token.
        """
        if self._state != "new":
            raise errors.BackendStateError("a backend can be entered once; make a new one")
        told = read_json(await self._call(b"GET", "/v1/capabilities"))
        self._boot = str(told["boot"])
        self._capabilities = _read_capabilities(told)
        self._state = "open"
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._transport.url

    @property
    def capabilities(self) -> Capabilities:
        """What the server's backend really gives."""
        if self._capabilities is None:
            raise errors.BackendStateError("the backend isn't started: use it in `async with`")
        return self._capabilities

    def _opened(self) -> None:
        if self._state != "open":
            raise errors.BackendStateError(
                f"the backend is {self._state}: use it inside `async with`"
            )

    async def _call(
        self, method: bytes, target: str, value: Any = None, *, timeout: float | None = None
    ) -> Reply:
        body = b"" if value is None else wire.dump_json(value)
        reply = await self._transport.call(
            method,
            target.encode("ascii"),
            head=self._head,
            body=body,
            timeout=self._answer_timeout if timeout is None else timeout,
        )
        if reply.status >= 300:
            raise wire.decode_error(reply.status, reply.body)
        return reply

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> RemoteLease:
        """Wait for a free slot of the server; see `treadle_sandbox.Backend.lease`."""
        self._opened()
        name = secrets.token_hex(16)
        wish = {
            "timeout": timeout,
            "lifetime": lifetime,
            "heartbeat": self._heartbeat,
            "owner": self._owner,
            "snapshot": None if snapshot is None else snapshot.id,
        }
        self._waiting += 1
        try:
            with self._counters.boundary():
                target, limit = f"/v1/leases/{name}", max(timeout, 0.0) + _SLOT_START
                reply = await self._call(b"PUT", target, wish, timeout=limit)
        except (asyncio.CancelledError, errors.ServerError):
            await finish(self._end(name))
            raise
        finally:
            self._waiting -= 1
        lease = self._hold(read_json(reply))
        self._counters.leases += 1
        if self._state != "open":
            await lease.aclose()
            raise errors.BackendStateError("the backend was closed meanwhile")
        return lease

    def _hold(self, told: dict[str, Any]) -> RemoteLease:
        calls = LeaseCalls(
            self._transport,
            name=told["id"],
            token=told["token"],
            epoch=told["epoch"],
            boot=told["boot"],
            grace=self._answer_timeout,
        )
        lease = RemoteLease(calls, told, drop=self._drop, fork=self._fork, counters=self._counters)
        self._leases[lease.id] = lease
        return lease

    async def _fork(self, calls: LeaseCalls, count: int, timeout: float) -> tuple[RemoteLease, ...]:
        if count < 1:
            raise errors.InvalidCommandError(f"count is {count}: fork makes one lease or more")
        names = [secrets.token_hex(16) for _ in range(count)]
        wish = {
            "ids": names,
            "timeout": timeout,
            "heartbeat": self._heartbeat,
            "owner": self._owner,
        }
        try:
            limit = max(timeout, 0.0) + _SLOT_START
            told = read_json(await calls.post_json("/fork", wish, timeout=limit))
        except (asyncio.CancelledError, errors.ServerError, errors.SlotLostError):
            await finish(self._end_all(names))
            raise
        self._counters.leases += count
        return tuple(self._hold(one) for one in told)

    async def _end_all(self, names: list[str]) -> None:
        await asyncio.gather(*(self._end(name) for name in names))

    async def _drop(self, lease: RemoteLease) -> None:
        try:
            await self._end(lease.id)
        finally:
            self._leases.pop(lease.id, None)

    async def _end(self, name: str) -> None:
        with contextlib.suppress(errors.ServerError, errors.LeaseClosedError):
            await self._call(b"DELETE", f"/v1/leases/{name}", timeout=_SLOT_START)

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot; slots that began with it keep their files."""
        self._opened()
        await self._call(b"DELETE", f"/v1/snapshots/{snapshot.id}")

    async def attach(self, lease_id: str, lease_token: str | None = None) -> RemoteLease:
        """Take a lease over, with its own token or the server's: its holder before is refused from
        now on. Raises LeaseClosedError, LeaseExpiredError.
        """
        self._opened()
        head = self._head if lease_token is None else authorize(lease_token)
        target = f"/v1/leases/{lease_id}/attach".encode("ascii")
        reply = await self._transport.call(b"POST", target, head=head, timeout=self._answer_timeout)
        if reply.status >= 300:
            raise wire.decode_error(reply.status, reply.body)
        return self._hold(read_json(reply))

    async def health(self) -> ServerHealth:
        """Ask the server how it is. Raises ServerError."""
        told = read_json(await self._call(b"GET", "/health"))
        try:
            return ServerHealth(**{name: told[name] for name in ServerHealth.__slots__})
        except (KeyError, TypeError) as error:
            raise errors.ServerError(f"{self._transport.url} is no sandbox server") from error

    async def list_leases(self) -> tuple[LeaseState, ...]:
        """Return every lease of the server, whoever holds it."""
        rows = read_json(await self._call(b"GET", "/v1/leases"))
        return tuple(LeaseState(**row) for row in rows)

    async def close_lease(self, name: str) -> None:
        """End a lease, whoever holds it; it may have ended before."""
        await self._call(b"DELETE", f"/v1/leases/{name}", timeout=_SLOT_START)

    async def drain(self) -> None:
        """Let the server give no new leases; those that are held go on."""
        await self._call(b"POST", "/v1/drain")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat / 3)
            if self._leases:
                held = {lease.id: lease.epoch for lease in self._leases.values()}
                with contextlib.suppress(errors.SandboxError):
                    limit = max(1.0, self._heartbeat / 3)
                    await self._call(b"POST", "/v1/heartbeat", {"leases": held}, timeout=limit)

    def statistics(self) -> Statistics:
        """Return the state of this client and its counters."""
        counters = self._counters
        return Statistics(
            slots=0 if self._capabilities is None else self._capabilities.slots,
            leased=len(self._leases),
            waiting=self._waiting,
            quarantined=0,
            leases=counters.leases,
            execs=counters.execs,
            running=counters.running,
            timeouts=counters.timeouts,
            failures=dict(counters.failures),
        )

    async def aclose(self) -> None:
        """Close every lease and the connections; the server stays. May be called again."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await finish(_follow(self._closing))

    async def _close(self) -> None:
        self._state = "closed"
        await asyncio.gather(*(lease.aclose() for lease in tuple(self._leases.values())))
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
        self._transport.close()


def _read_capabilities(told: dict[str, Any]) -> Capabilities:
    """Return the server's capabilities; what a newer server adds is left out."""
    try:
        known = {name: told[name] for name in Capabilities.__slots__ if name in told}
        limits = {k: v for k, v in told["limits"].items() if k in Limits.__slots__}
        known |= {
            "isolation": Isolation(told["isolation"]),
            "limits": Limits(**limits),
            "unlimited": tuple(told["unlimited"]),
            "allowed": tuple(told["allowed"]),
        }
        return Capabilities(**known)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        shown = json.dumps(told)[:200]
        raise errors.ServerError(f"the server's capabilities can't be read: {shown}") from error


async def _follow(future: asyncio.Future[None]) -> None:
    await future
