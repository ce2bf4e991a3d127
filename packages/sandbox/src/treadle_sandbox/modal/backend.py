"""Whole Modal sandboxes as slots: one for each lease, commands run by Modal itself.

For images without Python, or where slots must not share a sandbox. A sandbox is named
`<pool>-<profile>-<n>`; Modal gives a name once, so drivers of one pool never share a sandbox.
`min_containers` sandboxes wait ready, empty and unused. A sandbox whose driver died is ended by
Modal after `idle_timeout`; those in use are kept awake from here. What Modal can't keep apart
(hosts by port) is refused at the start.
"""

import asyncio
import contextlib
import itertools
import secrets
import time
from collections import deque
from types import TracebackType
from typing import Literal, Self

from modal import exception

from treadle_sandbox import errors
from treadle_sandbox.config import ModalConfig
from treadle_sandbox.counters import Counters
from treadle_sandbox.local.pool import Pool
from treadle_sandbox.modal import scripts
from treadle_sandbox.modal.account import ModalAccount, Room
from treadle_sandbox.modal.failures import account_boundary, slot_boundary
from treadle_sandbox.modal.lease import ModalLease
from treadle_sandbox.modal.process import Processes
from treadle_sandbox.modal.teardown import finish
from treadle_sandbox.records import Capabilities, Isolation, Snapshot, Statistics

_ENTRY = ("sleep", "2147483647")
_SNAPSHOT_TIMEOUT = 120
_WATCH_MOST = 20.0
_UNLIMITED = ("processes", "disk_bytes", "disk_files")


class ModalExecBackend:
    """A backend whose slots are Modal sandboxes. Enter it before use."""

    def __init__(self, config: ModalConfig) -> None:
        if not isinstance(config.network, bool):
            raise errors.ConfigError(
                "network: Modal can't allow single ports; give true or false, or use mode 'server'"
            )
        self._config = config
        self._account = ModalAccount(config)
        self._state: Literal["new", "open", "closed"] = "new"
        self._pool = Pool(config.max_containers)
        self._counters = Counters()
        self._leases: dict[ModalLease, int] = {}
        self._starting = 0
        self._warm: deque[Room] = deque()
        self._images: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._watch: asyncio.Task[None] | None = None
        self._refill: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Look the app up and start `min_containers` sandboxes.

        Raises: UnauthorizedError, ServerError, ConfigError, ServerStartError: with advice.
        """
        if self._state != "new":
            raise errors.BackendStateError("a backend can be entered once; make a new one")
        try:
            await self._account.open()
            await self._fill()
        except BaseException:
            await self.aclose()
            raise
        self._state = "open"
        self._watch = asyncio.ensure_future(self._keep_watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def capabilities(self) -> Capabilities:
        """What these slots give. The boundary is Modal's own sandbox."""
        self._check_open()
        return Capabilities(
            backend="modal",
            isolation=Isolation.NAMESPACES,
            slots=self._config.max_containers,
            network=self._config.network is True,
            separate_user=True,
            limits=self._config.limits,
            unlimited=_UNLIMITED,
            snapshots=True,
        )

    def _check_open(self) -> None:
        if self._state != "open":
            raise errors.BackendStateError(
                f"the backend is {self._state}: use it inside `async with`"
            )

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> ModalLease:
        """Wait for a free sandbox, first come first served; see `treadle_sandbox.Backend.lease`.

        `timeout` holds for the wait for a place; a new sandbox may take `start_timeout` more.
        """
        self._check_open()
        image = None if snapshot is None else self.image_of(snapshot)
        with self._counters.boundary():
            index = await self._pool.take(timeout)
            self._starting += 1
            try:
                room = await self._get_room(image)
            except BaseException:
                self._pool.put(index)
                raise
            finally:
                self._starting -= 1
        self._counters.leases += 1
        lease = ModalLease(
            name=f"{self._config.name}-{secrets.token_hex(6)}",
            room=room,
            home=self,
            workdir=self._config.workdir,
            isolation=Isolation.NAMESPACES,
            limits=self._config.limits,
            environment=self._config.env,
            counters=self._counters,
            lifetime=lifetime,
        )
        self._leases[lease] = index
        if self._state != "open":
            await lease.aclose()
            raise errors.BackendStateError("the backend was closed meanwhile")
        return lease

    async def _get_room(self, image: str | None) -> Room:
        while image is None and self._warm:
            room = self._warm.popleft()
            if room.left > self._config.expiry_margin and await self._is_alive(room):
                self._start_refill()
                return room
            await finish(self._end(room))
        return await self._new_room(image)

    async def _is_alive(self, room: Room) -> bool:
        try:
            with slot_boundary(room.name):
                async with asyncio.timeout(self._config.health_timeout):
                    return await room.sandbox.poll.aio() is None
        except errors.SandboxError:
            return False
        except asyncio.CancelledError:
            await finish(self._end(room))
            raise

    async def _new_room(self, image: str | None) -> Room:
        source = self._account.image(image or self._config.image)
        for _ in range(10_000):
            name = f"{self._config.name}-{self._config.profile}-{next(self._numbers)}"
            with contextlib.suppress(exception.AlreadyExistsError):
                room = await self._account.create(name, _ENTRY, image=source, variables={})
                break
        else:
            raise errors.SlotStartError("every name of the pool is taken at Modal")
        try:
            await self._prepare(room)
        except BaseException:
            await finish(self._end(room))
            raise
        return room

    async def _prepare(self, room: Room) -> None:
        processes = Processes(room.name, room.sandbox, self._config.limits)
        config = self._config
        try:
            code = await processes.script(
                scripts.PREPARE, config.workdir, timeout=config.start_timeout
            )
        except errors.SlotLostError as error:
            raise errors.SlotStartError(f"Modal sandbox runs no command: {error}") from error
        if code:
            raise errors.SlotStartError(
                f"Modal sandbox {room.name}: folder {config.workdir} can't be used; set "
                "workdir to a folder that the image's user may write"
            )

    async def replace(self, room: Room, image: str | None) -> Room:
        """End a sandbox and return another one that begins with `image`."""
        await finish(self._end(room))
        try:
            return await self._get_room(image)
        except errors.SandboxError as error:
            raise errors.SlotStartError(f"no new sandbox for this lease: {error}") from error

    async def keep(self, room: Room, processes: Processes, workdir: str) -> Snapshot:
        """Return a snapshot of a sandbox's files, kept by Modal as an image."""
        with slot_boundary(room.name):
            image = await room.sandbox.snapshot_filesystem.aio(timeout=_SNAPSHOT_TIMEOUT)
        counted = await processes.run(
            ["sh", "-c", scripts.COUNT, "sh", workdir],
            stdin=b"",
            env={},
            workdir="/",
            timeout=60.0,
            output_limit=1000,
        )
        files, size = [*counted.stdout.value().split(), b"0", b"0"][:2]
        snapshot = Snapshot(id=secrets.token_hex(8), bytes=int(size) << 10, files=int(files))
        self._images[snapshot.id] = image.object_id
        return snapshot

    def image_of(self, snapshot: Snapshot) -> str:
        """Return the image of a snapshot. Raises SnapshotNotFoundError."""
        if snapshot.id not in self._images:
            raise errors.SnapshotNotFoundError(
                f"snapshot {snapshot.id} isn't one of this backend, or was discarded"
            )
        return self._images[snapshot.id]

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot. Modal keeps its image for as long as it keeps unused images."""
        self._images.pop(snapshot.id, None)

    async def fork(self, snapshot: Snapshot, count: int, timeout: float) -> tuple[ModalLease, ...]:
        """Return `count` leases that begin with a snapshot; all or none."""
        work = [
            asyncio.ensure_future(self.lease(timeout=timeout, snapshot=snapshot))
            for _ in range(count)
        ]
        try:
            await asyncio.wait(work)
            return tuple([task.result() for task in work])
        except BaseException:
            await finish(_close_all(work))
            raise
        finally:
            await self.discard(snapshot)

    async def release(self, lease: ModalLease, room: Room) -> None:
        """End a lease's sandbox; one that Modal doesn't confirm is left to its own end there."""
        try:
            await self._end(room)
        finally:
            self._pool.put(self._leases.pop(lease))

    async def _end(self, room: Room) -> None:
        try:
            await self._account.terminate(room)
        except errors.SandboxError as error:
            self._counters.failures[type(error).__name__] += 1

    async def _fill(self) -> None:
        while len(self._warm) < self._config.min_containers and self._state != "closed":
            if len(self._warm) + len(self._leases) >= self._config.max_containers:
                return
            self._warm.append(await self._new_room(None))

    def _start_refill(self) -> None:
        if self._refill is None or self._refill.done():
            self._refill = asyncio.ensure_future(self._refill_quietly())

    async def _refill_quietly(self) -> None:
        try:
            await self._fill()
        except errors.SandboxError as error:
            self._counters.failures[type(error).__name__] += 1

    async def _keep_watch(self) -> None:
        awake = time.monotonic()
        pause = max(0.05, min(_WATCH_MOST, self._config.idle_timeout / 3))
        while True:
            now = time.monotonic()
            due = [lease.expires - now for lease in self._leases if lease.expires is not None]
            await asyncio.sleep(max(0.02, min([pause, awake + pause - now, 0.25, *due])))
            now = time.monotonic()
            late = [lease for lease in self._leases if (lease.expires or now + 1) <= now]
            calls = [lease.expire() for lease in late]
            if now - awake >= pause:
                awake = now
                calls += [lease.keep_alive() for lease in self._leases if lease not in late]
            await asyncio.gather(*calls, return_exceptions=True)

    def statistics(self) -> Statistics:
        """Return the present state and the counters."""
        return Statistics(
            slots=self._config.max_containers,
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
        """Close every lease and end every sandbox of this driver. May be called again."""
        self._state = "closed"
        self._pool.refuse("the backend was closed")
        await finish(self._close())

    async def _close(self) -> None:
        tasks = [task for task in (self._watch, self._refill) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        closing = [lease.aclose() for lease in list(self._leases)]
        closing += [self._end(room) for room in self._warm]
        self._warm.clear()
        await asyncio.gather(*closing)
        with account_boundary("the end of the connection"):
            await self._account.aclose()


async def _close_all(work: "list[asyncio.Task[ModalLease]]") -> None:
    for task in work:
        task.cancel()
    await asyncio.wait(work)
    made = [task.result() for task in work if not task.cancelled() and not task.exception()]
    await asyncio.gather(*(lease.aclose() for lease in made))
