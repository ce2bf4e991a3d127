"""Slots that a keeper builds: the `namespaces` level."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

from treadle_sandbox.errors import (
    SlotFileError,
    SlotLostError,
    SlotStartError,
    SnapshotNotFoundError,
)
from treadle_sandbox.local.channel import Channel
from treadle_sandbox.local.keeper import Keeper
from treadle_sandbox.local.launch import Method, Site, plan_keeper, plan_users, verify
from treadle_sandbox.local.slot import finish
from treadle_sandbox.local.source import Features, Order
from treadle_sandbox.network import PROXY_PORT
from treadle_sandbox.records import Snapshot

_STOP_HARD = 5.0
_AT_ONCE = 16


class KeptSlot:
    """One slot of a keeper."""

    def __init__(
        self,
        keeper: Keeper,
        channel: Channel,
        order: Order,
        *,
        number: int,
        request: int,
        first: int,
        users: tuple[str, ...],
    ) -> None:
        self._keeper = keeper
        self._number = number
        self.request = request
        """Number of the request that it was built for."""
        self._index = order.index
        self._first = first
        self._stopping: asyncio.Future[bool] | None = None
        self.channel = channel
        self.folder: Path | None = None
        self.fence = order.fence
        self.users = users

    @property
    def descriptor(self) -> int:
        """Its first process, as a process descriptor; -1 after `stop`."""
        return self._first

    async def snapshot(self) -> Snapshot:
        """Keep the files as they are now, while processes go on."""
        request = {"op": "snapshot", "slot": self._number, "index": self._index}
        note = (await self._keeper.ask(request)).note
        if "error" in note:
            if not note["error"]:
                raise SlotLostError("the slot died; take a new lease")
            raise SlotFileError(note["error"], f"no snapshot: {note['message']}")
        name = f"{self._keeper.name}-{note['snapshot']}"
        return Snapshot(id=name, bytes=note["bytes"], files=note["files"])

    async def stop(self) -> bool:
        """End every process: the kernel kills all of a process namespace with its first one."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        return await asyncio.shield(self._stopping)

    async def _stop(self) -> bool:
        self.channel.close()
        if self._first < 0:
            return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._first, signal.SIGKILL)
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(self._first, ended.set)
        try:
            async with asyncio.timeout(_STOP_HARD):
                await ended.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._first)
        os.close(self._first)
        self._first = -1
        self._keeper.forget_port(self.request)
        return await self.fence.aclose()


class KeptSlots:
    """Builds slots through a keeper, and a new keeper when the old one died."""

    def __init__(self, method: Method, site: Site, *, first_id: int) -> None:
        self._method = method
        self._site = site
        self._first_id = first_id
        self._keeper: Keeper | None = None
        self._starting = asyncio.Lock()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.features = Features()

    async def _get(self, timeout: float) -> Keeper:
        async with self._starting:
            if self._keeper is not None and not self._keeper.lost:
                return self._keeper
            if self._keeper is not None:
                await finish(self._keeper.aclose())
            config = plan_keeper(self._method, self._site, first_id=self._first_id)
            user = None if self._method.rights != "single" or os.geteuid() else self._first_id
            self._keeper = await Keeper.start(
                config, python=self._site.interpreter.executable, user=user, timeout=timeout
            )
            self.features = self._describe(self._keeper)
            return self._keeper

    def _describe(self, keeper: Keeper) -> Features:
        ranges = self._method.rights != "single"
        return Features(
            separate_user=ranges,
            snapshots=True,
            verifier_user=ranges,
            root_inside=ranges and self._site.allow_root and keeper.features["mapped"],
        )

    async def start(self, order: Order) -> KeptSlot:
        """Build a slot; see `Source.start`."""
        async with self._at_once:
            keeper = await self._get(order.timeout)
            if self._site.allow_root and not self.features.root_inside:
                raise SlotStartError("root inside a slot needs a kernel that maps owners of mounts")
            snapshot = self._number(keeper, order.snapshot) if order.snapshot else 0
            building = asyncio.ensure_future(self._build(keeper, order, snapshot))
            try:
                slot = await asyncio.shield(building)
            except asyncio.CancelledError:
                await asyncio.wait({building})
                if not building.cancelled() and building.exception() is None:
                    await finish(building.result().stop())
                raise
            try:
                await self._greet(keeper, slot, order)
            except BaseException:
                await finish(slot.stop())
                raise
            return slot

    def _number(self, keeper: Keeper, snapshot: Snapshot) -> int:
        owner, _, number = snapshot.id.partition("-")
        if owner != keeper.name or not number.isdigit():
            raise SnapshotNotFoundError(
                f"no snapshot {snapshot.id!r} in this backend; it was discarded, or lost when the "
                "backend had to start its keeper again"
            )
        return int(number)

    async def _build(self, keeper: Keeper, order: Order, snapshot: int) -> KeptSlot:
        ours, theirs = socket.socketpair()
        port = PROXY_PORT if order.fence.has_way_out else 0
        request = {"op": "start", "index": order.index, "snapshot": snapshot, "port": port}
        try:
            with order.fence.gates() as groups:
                answer = await keeper.ask(request, theirs.fileno(), *groups)
        except BaseException as error:
            ours.close()
            if isinstance(error, SlotLostError):
                raise SlotStartError(f"a slot couldn't be built: {error}") from error
            raise
        finally:
            theirs.close()
        note = answer.note
        if "error" in note:
            ours.close()
            if snapshot and not note["error"]:
                raise SnapshotNotFoundError(f"no snapshot {snapshot} any more; it was discarded")
            raise SlotStartError(f"a slot couldn't be built: {note['message']}")
        ours.setblocking(False)
        _, channel = await asyncio.get_running_loop().create_unix_connection(Channel, sock=ours)
        return KeptSlot(
            keeper,
            channel,
            order,
            number=note["slot"],
            request=note["id"],
            first=answer.descriptors[0],
            users=tuple(plan_users(self._method, self._site)),
        )

    async def _greet(self, keeper: Keeper, slot: KeptSlot, order: Order) -> None:
        try:
            reply = await slot.channel.wait(slot.channel.greeting, timeout=order.timeout)
        except SlotLostError as error:
            await asyncio.sleep(0)
            reason = keeper.take_failure(slot.request) or str(error)
            raise SlotStartError(f"a slot couldn't be built: {reason}") from error
        verify(reply.first, self._method, self._site)
        if order.fence.has_way_out:
            listener = await keeper.take_port(slot.request, timeout=order.timeout)
            order.fence.serve(socket.socket(fileno=listener))

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        keeper = self._keeper
        if keeper is None or keeper.lost:
            raise SnapshotNotFoundError(f"no snapshot {snapshot.id!r}: its keeper is gone")
        request = {"op": "discard", "snapshot": self._number(keeper, snapshot)}
        if "error" in (await keeper.ask(request)).note:
            raise SnapshotNotFoundError(f"no snapshot {snapshot.id!r}: it was discarded before")

    async def aclose(self) -> bool:
        """End the keeper, and with it every slot and snapshot."""
        return self._keeper is None or await self._keeper.aclose()
