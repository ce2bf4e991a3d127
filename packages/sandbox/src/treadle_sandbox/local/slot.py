"""Slots that are started one by one, from a program: the `bubblewrap` and `process` levels.

From its start to the proof of its end a slot is a confined process tree of this process.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from treadle_sandbox.errors import SlotLostError, SlotStartError, UnsupportedError
from treadle_sandbox.local import folder as slot_folder
from treadle_sandbox.local.bundle import build_bundle
from treadle_sandbox.local.channel import Channel
from treadle_sandbox.local.fence import read_children
from treadle_sandbox.local.launch import Launch, Method, Site, plan_launch, verify
from treadle_sandbox.local.source import Features, Order
from treadle_sandbox.records import Snapshot
from treadle_sandbox.slot import frames

_STOP_GENTLY, _STOP_HARD = 3.0, 5.0
_MESSAGE_MOST = 4000
_Result = TypeVar("_Result")


async def finish(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Await teardown to its end even when the caller is cancelled, then let the cancellation go
    on.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise


class SpawnedSlot:
    """The processes and the folder of one lease between two resets."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: Channel,
        errors: int,
        folder: Path | None,
        order: Order,
        handover: "_Handover",
    ) -> None:
        self._process = process
        self._errors = errors
        self._first = -1
        self._first_process = process.pid
        self._handover = handover
        self.channel = channel
        self.folder = folder
        """Its folder on the host, at the `process` level alone."""
        self.fence = order.fence
        """Its control group and its way out."""
        self.users = ("user",)

    @classmethod
    async def start(
        cls, method: Method, site: Site, order: Order, *, host_id: int
    ) -> "SpawnedSlot":
        """Start a slot and check that it is what `method` promises.

        Raises: SlotStartError: it can't be built, doesn't hold what it should, or took longer than
        the order's `timeout`.
        """
        folder = None if method.tool else slot_folder.make(site.interpreter)
        launch = plan_launch(method, site, host_id=host_id, folder=folder)
        try:
            slot = await _spawn_or_undo(launch, folder, order)
        except OSError as error:
            if folder is not None:
                slot_folder.remove(folder)
            raise SlotStartError(f"can't start {launch.argv[0]!r}: {error}") from error
        try:
            # It waits for the bundle: what it starts from now on is in its group too.
            order.fence.take_in(slot._process.pid)
            config = {**launch.config, "way_out": slot._handover.number}
            slot.channel.send_raw(build_bundle() + frames.encode_request(config))
            reply = await slot.channel.wait(slot.channel.greeting, timeout=order.timeout)
            verify(reply.first, method, site)
            slot._watch_first()
            order.fence.check(slot._first_process)
            if order.fence.has_way_out:
                order.fence.serve(slot._handover.receive())
        except SlotLostError as error:
            code, message = await finish(slot._fail())
            text = message or str(error)
            raise SlotStartError(f"a {method.isolation} slot ended with {code}: {text}") from error
        except BaseException:
            await finish(slot.stop())
            raise
        return slot

    def _watch_first(self) -> None:
        """Hold the slot's first process by descriptor: its end is the end of the namespace."""
        if self.folder is None:
            children = _list_children(self._process.pid)
            if children:
                self._first_process = children[0]
                self._first = os.pidfd_open(children[0])

    async def _end_first(self) -> bool:
        if self._first < 0:
            return True
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._first, signal.SIGKILL)
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
        return True

    async def _fail(self) -> tuple[int | None, str]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_GENTLY):
                await self._process.wait()
        os.set_blocking(self._errors, False)
        message = b""
        with contextlib.suppress(OSError):
            message = os.read(self._errors, _MESSAGE_MOST)
        await self.stop()
        return self._process.returncode, message.decode("utf-8", "replace").strip()

    async def snapshot(self) -> Snapshot:
        """Refuse: the files of these slots are in no layers."""
        raise UnsupportedError("slots of this isolation level have no snapshots; use 'namespaces'")

    async def stop(self) -> bool:
        """End every process and remove the folder; return whether that is certain. May be called
        again.
        """
        self.channel.close()
        self._handover.close()
        if not await self._ended(_STOP_GENTLY):
            self.fence.kill()
            _kill_tree(self._process.pid)
            if not await self._ended(_STOP_HARD):
                return False
        if not await self._end_first() or not await self.fence.aclose():
            return False
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1
        if self.folder is None or (self._process.returncode == 0 and not self.folder.exists()):
            return True
        return await asyncio.to_thread(slot_folder.sweep, self.folder)

    async def _ended(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await self._process.wait()
        except TimeoutError:
            return False
        return True


class SpawnedSlots:
    """Starts each slot by itself."""

    def __init__(self, method: Method, site: Site, *, first_id: int) -> None:
        self._method = method
        self._site = site
        self._first_id = first_id
        self.features = Features(separate_user=method.separate_user)

    async def start(self, order: Order) -> SpawnedSlot:
        """Start a slot; see `Source.start`."""
        site = self._site
        if order.snapshot is not None or site.allow_root or site.root.image:
            raise UnsupportedError(
                f"slots of the {self._method.isolation} level have no snapshots, no root inside "
                "and no image below them"
            )
        host_id = self._first_id + order.index
        return await SpawnedSlot.start(self._method, self._site, order, host_id=host_id)

    async def discard(self, snapshot: Snapshot) -> None:
        """Refuse: there are no snapshots."""
        raise UnsupportedError("slots of this isolation level have no snapshots")

    async def aclose(self) -> bool:
        """Nothing is shared."""
        return True


async def _spawn_or_undo(launch: Launch, folder: Path | None, order: Order) -> SpawnedSlot:
    spawning = asyncio.ensure_future(_spawn(launch, folder, order))
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        await asyncio.wait({spawning})
        if spawning.exception() is None:
            await finish(spawning.result().stop())
        raise


class _Handover:
    """A socket pair through which a slot sends its listening socket; see `slot.wayout`."""

    def __init__(self, *, wanted: bool) -> None:
        self._ends: list[socket.socket] = [*socket.socketpair()] if wanted else []
        self.number = self._ends[1].fileno() if wanted else -1
        """The slot's end, as it is numbered there."""

    def receive(self) -> socket.socket:
        """Return what the slot sent before its greeting.

        Raises:
            SlotStartError: it sent nothing.
        """
        try:
            self._ends[0].setblocking(False)
            _, descriptors, _, _ = socket.recv_fds(self._ends[0], 1, 1)
            return socket.socket(fileno=descriptors[0])
        except (OSError, IndexError) as error:
            raise SlotStartError(f"the slot sent no listening socket: {error}") from error

    def close_theirs(self) -> None:
        """Leave the slot's end to the slot."""
        for end in self._ends[1:]:
            end.close()

    def close(self) -> None:
        """Close both ends; may be called again."""
        for end in self._ends:
            end.close()


async def _spawn(launch: Launch, folder: Path | None, order: Order) -> SpawnedSlot:
    ours, theirs = socket.socketpair()
    handover = _Handover(wanted=order.fence.has_way_out)
    errors, errors_end = os.pipe()
    contents: list[int] = []
    try:
        for data in launch.files:
            contents.append(os.memfd_create("treadle"))
            os.write(contents[-1], data)
            os.lseek(contents[-1], 0, os.SEEK_SET)
        names = {f"{{{place}}}": str(descriptor) for place, descriptor in enumerate(contents)}
        argv = [names.get(word, word) for word in launch.argv]
        as_user: dict[str, Any] = {}
        if launch.user is not None:
            as_user = {"user": launch.user, "group": launch.user, "extra_groups": []}
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=theirs.fileno(),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=errors_end,
            env=dict(launch.environment),
            cwd="/",
            start_new_session=True,
            pass_fds=(*contents, *((handover.number,) if handover.number >= 0 else ())),
            **as_user,
        )
    except BaseException:
        ours.close()
        handover.close()
        os.close(errors)
        raise
    finally:
        theirs.close()
        handover.close_theirs()
        for descriptor in (errors_end, *contents):
            os.close(descriptor)
    ours.setblocking(False)
    _, channel = await asyncio.get_running_loop().create_unix_connection(Channel, sock=ours)
    return SpawnedSlot(process, channel, errors, folder, order, handover)


def _kill_tree(outer: int) -> None:
    """Kill a process and what is below it, the innermost first."""
    found = [outer]
    for process in found:
        found += _list_children(process)
    for process in reversed(found):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


def _list_children(process: int) -> list[int]:
    try:
        return read_children(process)
    except OSError:
        return []
