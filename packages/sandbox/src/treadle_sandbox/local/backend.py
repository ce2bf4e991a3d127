"""Slots on this machine.

`LocalBackend` finds the strongest isolation level by building a real slot with it, at the start.
Every later slot is built in that way and no other: when it can't be, `lease` raises, it never
weakens. A slot lives as long as its lease; its files are in memory (at the `process` level in a
temporary folder) and vanish with it, also when this process is killed.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from treadle_sandbox import errors
from treadle_sandbox.local.counters import Counters
from treadle_sandbox.local.launch import Method, Site, list_methods
from treadle_sandbox.local.lease import LocalLease
from treadle_sandbox.local.pool import Pool
from treadle_sandbox.local.root import Interpreter, plan_root
from treadle_sandbox.local.slot import Slot, finish
from treadle_sandbox.records import Capabilities, Isolation, Limits, Snapshot, Statistics

_HOST_IDS = (600_000_000, 1_800_000_000)
_ADVICE = (
    "Install bubblewrap, allow user namespaces, or accept less: min_isolation='process' runs "
    "commands without any boundary to this machine"
)


class LocalBackend:
    """Slots on this machine, isolated by bubblewrap, by namespaces, or, when allowed, not at all.

    `min_isolation` is the weakest level that is accepted; the strongest that works is used.
    `"auto"` accepts any. `exclude` leaves levels out. `network=True` shares the host's network, its
    loopback included. `env` is added to the environment of every command; `read_only` are host
    paths that slots may read at the same place; `python` is the interpreter of the slots, by
    default the one that runs this program.
    """

    def __init__(
        self,
        *,
        slots: int = 8,
        min_isolation: Isolation | str = Isolation.NAMESPACES,
        exclude: Collection[Isolation | str] = (),
        network: bool = False,
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        read_only: Iterable[Path] = (),
        python: Path | None = None,
        start_timeout: float = 20.0,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots is {slots}: a backend needs at least one")
        self._count = slots
        self._lowest = Isolation.PROCESS if min_isolation == "auto" else Isolation(min_isolation)
        self._exclude = frozenset(Isolation(level) for level in exclude)
        self._network = network
        self._limits = limits or Limits()
        self._environment = dict(env or {})
        self._read_only = tuple(read_only)
        self._python = python
        self._start_timeout = start_timeout
        self._state: Literal["new", "open", "closed"] = "new"
        self._method: Method | None = None
        self._site: Site | None = None
        self._pool = Pool(slots)
        self._leases: dict[LocalLease, int] = {}
        self._starting = 0
        self._counters = Counters()
        self._first_host_id = _HOST_IDS[0] + secrets.randbelow(_HOST_IDS[1] - _HOST_IDS[0])
        self._name = secrets.token_hex(4)

    async def __aenter__(self) -> Self:
        """Find the level.

        Raises: IsolationUnavailableError: none at or above `min_isolation` works here; says why for
        each.
        """
        if self._state != "new":
            raise errors.BackendStateError("a backend can be entered once; make a new one")
        interpreter = Interpreter.find(self._python)
        root = plan_root(interpreter, self._read_only, network=self._network)
        site = Site(interpreter=interpreter, root=root, limits=self._limits, network=self._network)
        self._method = await self._probe(site)
        self._site = site
        self._state = "open"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _probe(self, site: Site) -> Method:
        reasons: list[str] = []
        for level in sorted(Isolation, reverse=True):
            if level < self._lowest or level in self._exclude:
                continue
            try:
                for method in list_methods(level):
                    try:
                        return await self._try(method, site)
                    except errors.SlotStartError as error:
                        reasons.append(str(error))
            except errors.SlotStartError as error:
                reasons.append(f"{level}: {error}")
        found = "; ".join(reasons) or "every level is excluded"
        raise errors.IsolationUnavailableError(
            f"no isolation level from {self._lowest} up works here ({found}). {_ADVICE}"
        )

    async def _try(self, method: Method, site: Site) -> Method:
        slot = await self._start(method, site, 0)
        if not await finish(slot.stop()):
            raise errors.SlotStartError(f"{method.isolation}: the trial slot didn't end")
        return method

    async def _start(self, method: Method, site: Site, index: int) -> Slot:
        host_id = self._first_host_id + index
        return await Slot.start(method, site, host_id=host_id, timeout=self._start_timeout)

    @property
    def capabilities(self) -> Capabilities:
        """What was probed at the start."""
        method, _ = self._opened()
        unlimited: tuple[str, ...] = ()
        if method.isolation is Isolation.PROCESS:
            unlimited = ("processes", "disk_bytes", "disk_files")
        elif method.isolation is Isolation.BUBBLEWRAP:
            unlimited = ("disk_files",)
        return Capabilities(
            backend="local",
            isolation=method.isolation,
            slots=self._count,
            network=self._network or method.isolation is Isolation.PROCESS,
            separate_user=method.separate_user,
            limits=self._limits,
            unlimited=unlimited,
        )

    def _opened(self) -> tuple[Method, Site]:
        if self._state != "open" or self._method is None or self._site is None:
            raise errors.BackendStateError(
                f"the backend is {self._state}: use it inside `async with`"
            )
        return self._method, self._site

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> LocalLease:
        """Wait for a free slot, first come first served; see `treadle_sandbox.Backend.lease`."""
        method, site = self._opened()
        if snapshot is not None:
            raise errors.SnapshotNotFoundError(f"no snapshot {snapshot.id!r} in this backend")
        with self._counters.boundary():
            index = await self._pool.take(timeout)
            self._starting += 1
            try:
                slot = await self._start(method, site, index)
            except BaseException:
                self._pool.put(index)
                raise
            finally:
                self._starting -= 1
        self._counters.leases += 1
        lease = LocalLease(
            name=f"{self._name}-{index}-{self._counters.leases}",
            slot=slot,
            isolation=method.isolation,
            limits=self._limits,
            environment=self._environment,
            restart=lambda: self._start(method, site, index),
            give_back=self._give_back,
            counters=self._counters,
            lifetime=lifetime,
        )
        self._leases[lease] = index
        if self._state != "open":
            await lease.aclose()
            raise errors.BackendStateError("the backend was closed meanwhile")
        return lease

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot; see `treadle_sandbox.Backend.discard`."""
        raise errors.SnapshotNotFoundError(f"no snapshot {snapshot.id!r} in this backend")

    def _give_back(self, lease: LocalLease, clean: bool) -> None:
        index = self._leases.pop(lease)
        if clean:
            self._pool.put(index)
        else:
            self._pool.quarantine()
            self._counters.failures["Quarantine"] += 1

    def statistics(self) -> Statistics:
        """Return the present state and the counters."""
        return Statistics(
            slots=self._count,
            leased=len(self._leases) + self._starting,
            waiting=self._pool.waiting,
            quarantined=self._pool.quarantined,
            leases=self._counters.leases,
            execs=self._counters.execs,
            running=self._counters.running,
            timeouts=self._counters.timeouts,
            failures=dict(self._counters.failures),
        )

    async def aclose(self) -> None:
        """Close every lease. May be called again."""
        self._state = "closed"
        self._pool.refuse("the backend was closed")
        await finish(self._close_leases())

    async def _close_leases(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lease in list(self._leases):
                group.create_task(lease.aclose())
