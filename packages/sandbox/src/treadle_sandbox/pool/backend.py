"""A backend over many sandbox servers.

`PoolBackend` multiplexes the slots of servers that a `Provider` starts and ends: up at once when
leases are waited for, down when servers are idle, replaced before their platform ends them, put in
quarantine and removed when they don't answer. Leases are given first come first served. A snapshot
is on one server; `lease(snapshot=)` and `fork` go to that server and wait for room there.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from treadle_sandbox import errors
from treadle_sandbox.backend import Lease
from treadle_sandbox.config import PoolConfig
from treadle_sandbox.pool.boundary import finish, obtain, within
from treadle_sandbox.pool.fleet import ServerState
from treadle_sandbox.pool.lease import PoolLease
from treadle_sandbox.pool.life import Clock, Life
from treadle_sandbox.pool.link import Connect
from treadle_sandbox.pool.provider import Provider
from treadle_sandbox.pool.supervisor import Supervisor
from treadle_sandbox.records import Capabilities, Snapshot, Statistics

_SLOT_START = 30.0
_SERVER_WAIT = 0.5

Take = Callable[[Life, float], Awaitable[tuple[Lease, ...]]]
"""Takes leases from a server, which may wait for so many seconds."""


class PoolBackend:
    """Slots on many servers. Enter it before use.

    `connect` opens the connection to a server; `clock` is monotonic, `wall_clock` dates the
    servers' names.
    """

    def __init__(
        self,
        provider: Provider,
        config: PoolConfig,
        *,
        connect: Connect,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
    ) -> None:
        self._provider = provider
        self._config = config
        self._connect = connect
        self._clock = clock
        self._wall_clock = wall_clock
        self._state: Literal["new", "open", "closed"] = "new"
        self._capabilities: Capabilities | None = None
        self._supervisor: Supervisor | None = None
        self._runner: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._leases: dict[PoolLease, str] = {}
        self._granted = 0
        self._failures: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._opening = 0
        self._waited = 0.0
        self._longest = 0.0

    async def __aenter__(self) -> Self:
        """Check the platform, take over what is there, and wait for the first server.

        Raises:
            ServerStartError: none could be started; with the platform's reason.
            IsolationUnavailableError, ConfigError: the platform can't do what was asked.
        """
        if self._state != "new":
            raise errors.BackendStateError("a backend can be entered once; make a new one")
        self._state = "open"
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def _open(self) -> None:
        config, provider = self._config, self._provider
        await within(config.prepare_timeout, provider.start(), f"{provider.kind} start")
        supervisor = Supervisor(
            config,
            provider,
            self._connect,
            clock=self._clock,
            wall_clock=self._wall_clock,
            ended=self._note_end,
        )
        self._supervisor = supervisor
        self._runner = asyncio.create_task(supervisor.run())
        await asyncio.wait({supervisor.first, self._runner}, return_when="FIRST_COMPLETED")
        if self._runner.done():
            supervisor.first.exception()
            await self._runner
        link = supervisor.first.result().link
        if link is None:
            raise errors.ServerStartError("the first server ended as soon as it was ready")
        self._capabilities = self._describe(link.capabilities)

    def _describe(self, one: Capabilities) -> Capabilities:
        slots = self._config.max_containers * self._config.slots_per_container
        return replace(one, backend=self._provider.kind, slots=slots)

    @property
    def capabilities(self) -> Capabilities:
        """What the first server's slots are like; `slots` of the largest size of the pool."""
        if self._capabilities is None:
            raise errors.BackendStateError("the pool isn't started: use it inside `async with`")
        return self._capabilities

    def _opened(self) -> Supervisor:
        if self._state != "open" or self._supervisor is None or self._runner is None:
            raise errors.BackendStateError(f"the pool is {self._state}: use it in `async with`")
        if self._runner.done():
            raise errors.BackendStateError("the pool has failed; make a new one")
        return self._supervisor

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> PoolLease:
        """Wait for a free slot, first come first served; see `treadle_sandbox.Backend.lease`.

        Raises besides:
            ServerStartError: no server can be started; with the platform's reason.
        """
        server, own = split_snapshot(snapshot) if snapshot else (None, None)

        async def take(life: Life, wait: float) -> tuple[Lease, ...]:
            link = life.connected
            return (await link.lease(timeout=wait, lifetime=lifetime, snapshot=own),)

        with self._boundary():
            (lease,) = await self._obtain(take, count=1, server=server, timeout=timeout)
        return lease

    async def fork(self, lease: PoolLease, count: int, timeout: float) -> tuple[PoolLease, ...]:
        """Return new leases with the files of `lease`; see `treadle_sandbox.Lease.fork`."""

        async def take(life: Life, wait: float) -> tuple[Lease, ...]:
            return await lease.inner.fork(count, timeout=wait)

        if count < 1:
            raise errors.InvalidCommandError(f"count is {count}: fork makes one lease or more")
        with self._boundary():
            return await self._obtain(take, count=count, server=lease.server, timeout=timeout)

    @contextlib.contextmanager
    def _boundary(self) -> Generator[None]:
        """Count an infrastructure failure by its type and let it pass."""
        try:
            yield
        except errors.SandboxError as error:
            self._failures[type(error).__name__] += 1
            raise

    async def _obtain(
        self, take: Take, *, count: int, server: str | None, timeout: float
    ) -> tuple[PoolLease, ...]:
        """Reserve slots on a server and take leases there; on another one when it refuses."""
        supervisor = self._opened()
        began = self._clock()
        ticket = supervisor.queue.next_ticket()
        while True:
            left = began + timeout - self._clock()
            name = await supervisor.reserve(count=count, server=server, ticket=ticket, timeout=left)
            wait = min(_SERVER_WAIT, max(0.0, began + timeout - self._clock()))
            leases = await self._take(supervisor, name, count, take, wait)
            if leases:
                self._note_wait(self._clock() - began)
                return leases

    async def _take(
        self, supervisor: Supervisor, name: str, count: int, take: Take, wait: float
    ) -> tuple[PoolLease, ...]:
        """Return leases on reserved slots, none when the server is full or doesn't answer."""
        life = supervisor.lives.get(name)
        if life is None:
            return ()
        taken: tuple[Lease, ...] = ()
        self._opening += count
        try:
            call = within(wait + _SLOT_START, take(life, wait), f"server {name}, lease")
            taken = await obtain(call, _close_all)
        except (errors.ServerError, errors.LeaseTimeoutError, errors.BackendStateError):
            life.distrust()
        finally:
            self._opening -= count
            if not taken:
                supervisor.release(name, count)
        if taken and (self._state != "open" or life.over):
            await finish(_close_all(taken))
            supervisor.release(name, count)
            self._opened()
            return ()
        return tuple(self._hold(inner, name) for inner in taken)

    def _hold(self, inner: Lease, name: str) -> PoolLease:
        lease = PoolLease(inner, server=name, home=self)
        self._leases[lease] = name
        self._granted += 1
        return lease

    def _note_wait(self, seconds: float) -> None:
        self._waited += seconds
        self._longest = max(self._longest, seconds)

    def suspect(self, lease: PoolLease) -> None:
        """Look at the lease's server now."""
        if self._supervisor is not None and (life := self._supervisor.lives.get(lease.server)):
            life.wake()

    def give_back(self, lease: PoolLease) -> None:
        """Take the slot of a closed lease back."""
        name = self._leases.pop(lease)
        if self._supervisor is not None:
            self._supervisor.release(name, 1)

    def _note_end(self, life: Life) -> None:
        """Tell the leases of a server that it is gone; keep what was counted there."""
        if life.link is not None:
            self._done.update(_count_done(life.link.statistics()))
        for lease, name in self._leases.items():
            if name == life.server.name:
                lease.lose(life.server.cause)
                self._failures[errors.SlotLostError.__name__] += 1

    def keep(self, lease: PoolLease, snapshot: Snapshot) -> Snapshot:
        """Count a snapshot; its server isn't idle while there is one."""
        server = self._opened().fleet.get(lease.server)
        if server is not None:
            server.snapshots.add(snapshot.id)
        return replace(snapshot, id=f"{lease.server}/{snapshot.id}")

    def own(self, lease: PoolLease, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot under its server's name for it."""
        server, own = split_snapshot(snapshot)
        if server != lease.server:
            raise errors.SnapshotNotFoundError(
                f"snapshot {snapshot.id} is on another server than lease {lease.id}: begin a new "
                "lease with it"
            )
        return own

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot; slots that began with it keep their files."""
        supervisor = self._opened()
        name, own = split_snapshot(snapshot)
        life, server = supervisor.lives.get(name), supervisor.fleet.get(name)
        if life is None or server is None or own.id not in server.snapshots:
            raise errors.SnapshotNotFoundError(f"no snapshot {snapshot.id}; its server is gone")
        await within(_SLOT_START, life.connected.discard(own), f"server {name}, discard")
        server.snapshots.discard(own.id)
        server.touch(self._clock())

    def statistics(self) -> Statistics:
        """Return the present state and the counters."""
        supervisor = self._supervisor
        done = self._done.copy()
        running = 0
        for life in supervisor.lives.values() if supervisor else ():
            if life.link is not None:
                state = life.link.statistics()
                done.update(_count_done(state))
                running += state.running
        fleet = list(supervisor.fleet) if supervisor else []
        counts = supervisor.counts if supervisor else Counter[str]()
        ready = [server for server in fleet if server.state in _SERVING]
        return Statistics(
            slots=sum(server.slots for server in ready),
            leased=len(self._leases) + self._opening,
            waiting=len(supervisor.queue) if supervisor else 0,
            quarantined=sum(s.slots for s in fleet if s.state is ServerState.QUARANTINED),
            leases=self._granted,
            execs=done["execs"],
            running=running,
            timeouts=done["timeouts"],
            failures=dict(self._failures),
            servers=dict(Counter(str(server.state) for server in fleet)),
            created=counts["created"],
            adopted=counts["adopted"],
            removed=counts["removed"] + (supervisor.orphans if supervisor else 0),
            start_failures=counts["start_failures"],
            waited_seconds=self._waited,
            longest_wait=self._longest,
        )

    async def aclose(self) -> None:
        """Close every lease, end the servers that nobody else uses. May be called again."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await finish(_follow(self._closing))

    async def _close(self) -> None:
        self._state = "closed"
        try:
            if self._supervisor is not None:
                self._supervisor.refuse(lambda: errors.BackendStateError("the pool is closed"))
                await asyncio.gather(*(lease.aclose() for lease in tuple(self._leases)))
                self._supervisor.stop()
            if self._runner is not None:
                await self._runner
        finally:
            await within(
                self._config.provider_timeout,
                self._provider.aclose(),
                f"{self._provider.kind} close",
            )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


_SERVING = (ServerState.READY, ServerState.DRAINING)


def _count_done(state: Statistics) -> dict[str, int]:
    return {"execs": state.execs, "timeouts": state.timeouts}


def split_snapshot(snapshot: Snapshot) -> tuple[str, Snapshot]:
    """Return the server of a pool's snapshot, and the snapshot as that server calls it."""
    server, slash, own = snapshot.id.partition("/")
    if not slash:
        raise errors.SnapshotNotFoundError(f"snapshot {snapshot.id} isn't of a pool")
    return server, replace(snapshot, id=own)


async def _close_all(leases: tuple[Lease, ...]) -> None:
    await asyncio.gather(*(lease.aclose() for lease in leases), return_exceptions=True)


async def _follow(future: asyncio.Future[None]) -> None:
    await future
