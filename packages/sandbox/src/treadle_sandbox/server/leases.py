"""The leases of a server: by name, each with a token, an epoch and up to two deadlines.

A lease is created under a name that its client chose, so that creating it again is the same
creation, and ending it works before it exists. It ends by `close`, when its `lifetime` isn't
renewed, when its holder sends no heartbeat, or with the server. Taking a lease over makes a new
epoch: calls of the holder before are refused from then on. Names of ended leases are remembered.
"""

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from treadle_sandbox import errors
from treadle_sandbox.backend import Backend, Lease, Session
from treadle_sandbox.records import Snapshot
from treadle_sandbox.server.calls import Calls
from treadle_sandbox.server.options import ServerOptions

_REMEMBERED = 20_000
_LOG = logging.getLogger("treadle_sandbox.server")


@dataclass(slots=True, kw_only=True)
class Held:
    """A lease that somebody holds."""

    id: str
    lease: Lease
    owner: str
    token: str
    calls: Calls
    digest: bytes
    lifetime: float | None
    heartbeat: float | None
    epoch: int = 1
    born: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    beaten: float = field(default_factory=time.monotonic)
    sessions: dict[str, Session] = field(default_factory=dict[str, Session])

    def overdue(self, now: float) -> str | None:
        """Return why the lease must end, if it must."""
        if self.lifetime is not None and now > self.renewed + self.lifetime:
            return f"wasn't renewed within {self.lifetime:g} seconds"
        if self.heartbeat is not None and now > self.beaten + self.heartbeat:
            return f"had no heartbeat for {self.heartbeat:g} seconds"
        return None


@dataclass(frozen=True, slots=True)
class Past:
    """A lease that ended, and what its calls raise."""

    kind: type[errors.SandboxError]
    message: str
    digest: bytes | None


class LeaseBook:
    """Every lease of one backend that clients of the server hold."""

    def __init__(self, backend: Backend, options: ServerOptions) -> None:
        self._backend = backend
        self._options = options
        self._held: dict[str, Held] = {}
        self._past: OrderedDict[str, Past] = OrderedDict()
        self.creations = Calls(grace=options.reconnect_grace)
        self.boot = secrets.token_hex(8)
        self.draining = False
        self.empty = asyncio.Event()
        self.empty.set()
        self.expired = 0
        self.replays = 0

    def __len__(self) -> int:
        return len(self._held)

    def all(self) -> list[Held]:
        """Return every lease, oldest first."""
        return list(self._held.values())

    def find(self, name: str, epoch: int | None = None) -> Held:
        """Return a lease.

        Raises:
            LeaseClosedError: there is none of that name.
            LeaseExpiredError: it ended since it wasn't renewed, or another epoch holds it.
        """
        held = self._held.get(name)
        if held is None:
            known = self._past.get(name)
            if known is not None:
                raise known.kind(known.message)
            raise errors.LeaseClosedError(f"no lease {name!r} on this server")
        if epoch is not None and epoch != held.epoch:
            raise errors.LeaseExpiredError(
                f"lease {name} was taken over: epoch {held.epoch} holds it, not {epoch}"
            )
        return held

    def digest(self, name: str) -> bytes | None:
        """Return the digest of a lease's token, also of one that ended; None when unknown."""
        known = self._held.get(name) or self._past.get(name)
        return None if known is None else known.digest

    async def open(
        self,
        name: str,
        *,
        timeout: float,
        owner: str = "",
        lifetime: float | None = None,
        heartbeat: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> Held:
        """Wait for a slot. Raises as `Backend.lease`, and BackendStateError while it drains."""
        if name in self._held or name in self._past:
            return self.find(name)
        if self.draining:
            raise errors.BackendStateError("the server is draining: it gives no new leases")
        if lifetime is None and heartbeat is None:
            lifetime = self._options.lifetime
        lease = await self._backend.lease(timeout=timeout, snapshot=snapshot)
        return self.hold(name, lease, owner=owner, lifetime=lifetime, heartbeat=heartbeat)

    def hold(
        self,
        name: str,
        lease: Lease,
        *,
        owner: str,
        lifetime: float | None,
        heartbeat: float | None,
    ) -> Held:
        """Take a lease of the backend in."""
        token = secrets.token_urlsafe(24)
        held = Held(
            id=name,
            lease=lease,
            owner=owner,
            token=token,
            digest=sha256(token.encode()).digest(),
            calls=Calls(
                finish=self._options.gone_client == "finish", grace=self._options.reconnect_grace
            ),
            lifetime=lifetime,
            heartbeat=heartbeat,
        )
        self._held[name] = held
        self.empty.clear()
        return held

    async def close(self, name: str, why: str | None = None) -> None:
        """End a lease, or its creation; it may have ended before. `why` it expired, if it did."""
        await self.creations.cancel(name)
        self.creations.forget(name)
        held = self._held.pop(name, None)
        if held is None and name in self._past:
            return
        kind = errors.LeaseClosedError if why is None else errors.LeaseExpiredError
        message = f"lease {name} {why or 'is closed'}"
        self._past[name] = Past(kind, message, None if held is None else held.digest)
        while len(self._past) > _REMEMBERED:
            self._past.popitem(last=False)
        if held is not None:
            self.replays += held.calls.replays
            try:
                await held.lease.aclose()
                await held.calls.aclose()
            finally:
                if not self._held:
                    self.empty.set()

    def beat(self, leases: Mapping[str, int]) -> dict[str, str]:
        """Note a heartbeat; return why those that aren't held in that epoch are lost."""
        now = time.monotonic()
        lost: dict[str, str] = {}
        for name, epoch in leases.items():
            try:
                self.find(name, epoch).beaten = now
            except errors.SandboxError as error:
                lost[name] = type(error).__name__
        return lost

    async def sweep(self) -> None:
        """End the leases that are overdue."""
        now = time.monotonic()
        found = [(held.id, held.overdue(now)) for held in self.all()]
        overdue = {name: why for name, why in found if why is not None}
        self.expired += len(overdue)
        await self._close_all(overdue)

    async def _close_all(self, reasons: Mapping[str, str | None]) -> None:
        """End leases together; one that fails to end is logged and doesn't stop the others."""
        work = [self.close(name, why) for name, why in reasons.items()]
        for name, failure in zip(
            reasons, await asyncio.gather(*work, return_exceptions=True), strict=True
        ):
            if failure is not None:
                _LOG.error("lease %s couldn't be ended: %r", name, failure)

    async def aclose(self) -> None:
        """End every lease and every creation."""
        self.draining = True
        await self.creations.aclose()
        await self._close_all({held.id: None for held in self.all()})
