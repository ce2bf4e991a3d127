"""Slots on this machine.

`LocalBackend` finds the strongest isolation level by building a real slot with it, at the start.
Every later slot is built in that way and no other: when it can't be, `lease` raises, it never
weakens. A slot lives as long as its lease; its files are in memory (at the `process` level in a
temporary folder) and vanish with it, also when this process is killed.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from treadle_sandbox import errors
from treadle_sandbox.counters import Counters
from treadle_sandbox.local.kept import KeptSlots
from treadle_sandbox.local.launch import Method, Site, list_methods
from treadle_sandbox.local.lease import LocalLease
from treadle_sandbox.local.place import Place
from treadle_sandbox.local.pool import Pool
from treadle_sandbox.local.root import Interpreter, plan_image, plan_root
from treadle_sandbox.local.slot import SpawnedSlots, finish
from treadle_sandbox.local.source import Order, Slot, Source
from treadle_sandbox.local.surroundings import Surroundings, fit
from treadle_sandbox.records import Capabilities, Isolation, Limits, Snapshot, Statistics

_HOST_IDS = (600_000_000, 1_800_000_000)
_PREFERENCE = (Isolation.NAMESPACES, Isolation.BUBBLEWRAP, Isolation.PROCESS)
"""The order in which levels are tried: of two equally tight ones the one that offers more first."""
_ADVICE = (
    "Install bubblewrap, allow user namespaces, or accept less: min_isolation='process' runs "
    "commands without any boundary to this machine"
)


class LocalBackend:
    """Slots on this machine, isolated by bubblewrap, by namespaces, or, when allowed, not at all.

    `min_isolation` is the weakest level that is accepted; the strongest that works is used.
    `"auto"` accepts any. `exclude` leaves levels out. `network=True` shares the host's network, its
    loopback included; a list of rules opens what it names and nothing else: see
    `treadle_sandbox.network.policy`. `env` is added to the environment of every command;
    `read_only` are host paths that slots may read at the same place; `python` is the interpreter of
    the slots, by default the one that runs this program. `root="image"` is for use inside of
    containers: slots see the container's whole root file system, without the `hidden` paths, and
    what they write to it stays theirs. With `allow_root`, commands may run as root of the slot
    (`Privilege.ROOT`), and what they write to system folders stays in the slot; a machine that
    can't is refused. All snapshots together hold at most `snapshot_bytes`, in memory.
    """

    def __init__(
        self,
        *,
        slots: int = 8,
        min_isolation: Isolation | str = Isolation.NAMESPACES,
        exclude: Collection[Isolation | str] = (),
        network: bool | Sequence[str] = False,
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        read_only: Iterable[Path] = (),
        python: Path | None = None,
        root: Literal["minimal", "image"] = "minimal",
        hidden: Iterable[Path] = (),
        allow_root: bool = False,
        snapshot_bytes: int = 1 << 30,
        start_timeout: float = 20.0,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots is {slots}: a backend needs at least one")
        if root not in ("minimal", "image"):
            raise ValueError(f"root is {root!r}: give 'minimal' or 'image'")
        self._count = slots
        self._lowest = Isolation.PROCESS if min_isolation == "auto" else Isolation(min_isolation)
        self._exclude = frozenset(Isolation(level) for level in exclude)
        if isinstance(network, str):
            raise errors.ConfigError(f"network is {network!r}: give a list of rules")
        allowed = () if isinstance(network, bool) else tuple(network)
        self._network = network is True
        self._limits = fit(limits or Limits())
        self._surroundings = Surroundings(self._limits, allowed)
        self._environment = {**self._surroundings.environment, **(env or {})}
        self._read_only = tuple(read_only)
        self._python = python
        self._start_timeout = start_timeout
        self._state: Literal["new", "open", "closed"] = "new"
        self._root = root
        self._hidden = tuple(str(path) for path in hidden)
        self._allow_root = allow_root
        self._snapshot_bytes = snapshot_bytes
        self._method: Method | None = None
        self._source: Source | None = None
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
        site = Site(
            interpreter=interpreter,
            root=plan_image(network=self._network)
            if self._root == "image"
            else plan_root(interpreter, self._read_only, network=self._network),
            hidden=self._hidden,
            limits=self._limits,
            network=self._network,
            allow_root=self._allow_root,
            snapshot_bytes=self._snapshot_bytes,
            slots=self._count,
        )
        try:
            await self._surroundings.open()
            await self._probe(site)
        except BaseException:
            await finish(self._surroundings.aclose())
            raise
        self._state = "open"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _probe(self, site: Site) -> None:
        reasons: list[str] = []
        for level in _PREFERENCE:
            if level < self._lowest or level in self._exclude:
                continue
            try:
                self._surroundings.check_level(level)
                for method in list_methods(level):
                    try:
                        self._source = await self._try(method, site)
                        self._method = method
                    except (errors.SlotStartError, errors.UnsupportedError) as error:
                        reasons.append(str(error))
                    else:
                        return
            except errors.SlotStartError as error:
                reasons.append(f"{level}: {error}")
        found = "; ".join(reasons) or "every level is excluded"
        raise errors.IsolationUnavailableError(
            f"no isolation level from {self._lowest} up works here ({found}). {_ADVICE}"
        )

    async def _try(self, method: Method, site: Site) -> Source:
        kind = KeptSlots if method.isolation is Isolation.NAMESPACES else SpawnedSlots
        source = kind(method, site, first_id=self._first_host_id)
        try:
            slot = await self._start(source, 0, None)
            if not await finish(slot.stop()):
                raise errors.SlotStartError(f"{method.isolation}: the trial slot didn't end")
        except BaseException:
            await finish(source.aclose())
            raise
        return source

    @property
    def capabilities(self) -> Capabilities:
        """What was probed at the start."""
        method, source = self._opened()
        features = source.features
        unlimited: tuple[str, ...] = ()
        if method.isolation is Isolation.PROCESS:
            unlimited = ("processes", "disk_bytes", "disk_files")
        elif method.isolation is Isolation.BUBBLEWRAP:
            unlimited = ("disk_files",)
        held = self._surroundings.unlimited(method.isolation)
        unlimited = (*(name for name in unlimited if name != "processes"), *held)
        return Capabilities(
            backend="local",
            isolation=method.isolation,
            slots=self._count,
            network=self._network or method.isolation is Isolation.PROCESS,
            separate_user=features.separate_user,
            limits=self._limits,
            unlimited=unlimited,
            allowed=self._surroundings.allowed,
            control_groups=self._surroundings.control_groups,
            snapshots=features.snapshots,
            root_inside=features.root_inside,
            verifier_user=features.verifier_user,
        )

    def _opened(self) -> tuple[Method, Source]:
        if self._state != "open" or self._method is None or self._source is None:
            raise errors.BackendStateError(
                f"the backend is {self._state}: use it inside `async with`"
            )
        return self._method, self._source

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> LocalLease:
        """Wait for a free slot, first come first served; see `treadle_sandbox.Backend.lease`."""
        method, _ = self._opened()
        with self._counters.boundary():
            index = await self._pool.take(timeout)
            self._starting += 1
            try:
                slot = await self.build_slot(index, snapshot)
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
            builder=Place(self, index),
            give_back=self._give_back,
            counters=self._counters,
            lifetime=lifetime,
        )
        self._leases[lease] = index
        if self._state != "open":
            await lease.aclose()
            raise errors.BackendStateError("the backend was closed meanwhile")
        return lease

    async def build_slot(self, index: int, snapshot: Snapshot | None) -> Slot:
        """Build a slot in a place of the pool, for a lease that holds it."""
        _, source = self._opened()
        return await self._start(source, index, snapshot)

    async def _start(self, source: Source, index: int, snapshot: Snapshot | None) -> Slot:
        fence = self._surroundings.around(index)
        order = Order(index=index, timeout=self._start_timeout, fence=fence, snapshot=snapshot)
        try:
            return await source.start(order)
        except BaseException:
            await finish(fence.aclose())
            raise

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot; slots that began with it keep their files."""
        await self._opened()[1].discard(snapshot)

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
        if self._source is not None:
            await finish(self._source.aclose())
        await finish(self._surroundings.aclose())

    async def _close_leases(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lease in list(self._leases):
                group.create_task(lease.aclose())
