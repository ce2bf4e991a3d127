"""The host's end of a keeper: the process that builds slots (see `treadle_sandbox.slot.keeper`)."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from treadle_sandbox.errors import SlotLostError, SlotStartError
from treadle_sandbox.local.bundle import BOOTSTRAP, build_bundle
from treadle_sandbox.slot import frames, notes

_STOP_GENTLY = 3.0
_MESSAGE_MOST = 4000
_NOTE_ROOM = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A note of the keeper and the descriptors that came with it, which are the receiver's now."""

    note: Mapping[str, Any]
    descriptors: tuple[int, ...]


class Keeper:
    """One running keeper."""

    def __init__(
        self, process: asyncio.subprocess.Process, peer: socket.socket, errors: int
    ) -> None:
        self._process = process
        self._peer = peer
        self._errors = errors
        self._last = 0
        self.name = secrets.token_hex(4)
        """Told apart from those before and after it."""
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._sending = asyncio.Lock()
        self._failures: dict[int, str] = {}
        self._ports: dict[int, asyncio.Future[int]] = {}
        self.lost = False
        """Whether it is gone, and every slot with it."""
        self.features: Mapping[str, Any] = {}

    @classmethod
    async def start(
        cls, config: Mapping[str, Any], *, python: str, user: int | None, timeout: float
    ) -> Self:
        """Start a keeper and wait until it can build slots.

        Raises: SlotStartError: it can't be started here; with its reason.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program, program_end = socket.socketpair()
        errors, errors_end = os.pipe()
        as_user: dict[str, Any] = {}
        if user is not None:
            as_user = {"user": user, "group": user, "extra_groups": []}
        try:
            process = await asyncio.create_subprocess_exec(
                *(python, "-I", "-S", "-B", "-c", BOOTSTRAP),
                stdin=program_end.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors_end,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
                **as_user,
            )
            full = {**config, "level": "keeper", "control": theirs.fileno()}
            data = build_bundle() + frames.encode_request(full)
        except BaseException as error:
            ours.close()
            program.close()
            os.close(errors)
            if isinstance(error, OSError):
                raise SlotStartError(f"can't start {python!r} as a keeper: {error}") from error
            raise
        finally:
            theirs.close()
            program_end.close()
            os.close(errors_end)
        keeper = cls(process, ours, errors)
        try:
            await keeper._greet(program, data, timeout)
        except BaseException:
            await keeper.aclose()
            raise
        return keeper

    async def _greet(self, program: socket.socket, data: bytes, timeout: float) -> None:
        self._peer.setblocking(False)
        program.setblocking(False)
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _NOTE_ROOM)
        greeting = self._expect(0)
        self._loop.add_reader(self._peer, self._receive)
        with program:
            try:
                async with asyncio.timeout(timeout):
                    await self._loop.sock_sendall(program, data)
                    self.features = (await greeting).note
            except TimeoutError as error:
                raise SlotStartError(f"no keeper of slots within {timeout:g} s") from error
            except (OSError, SlotLostError) as error:
                reason = await self._reason()
                raise SlotStartError(f"the keeper of slots ended: {reason or error}") from error

    async def _reason(self) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_GENTLY):
                await self._process.wait()
        os.set_blocking(self._errors, False)
        with contextlib.suppress(OSError):
            return os.read(self._errors, _MESSAGE_MOST).decode("utf-8", "replace").strip()
        return ""

    def _expect(self, number: int) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[number] = future
        return future

    def _receive(self) -> None:
        try:
            received = notes.receive(self._peer)
        except BlockingIOError:
            return
        if received is None:
            self._lose()
            return
        note, descriptors = received
        number = note["id"]
        if "failure" in note:
            self._failures[number] = note["failure"]
            return
        if "listens" in note:
            self._port(number).set_result(descriptors[0])
            return
        future = self._waiting.pop(number, None)
        if future is None or future.done():
            for descriptor in descriptors:
                os.close(descriptor)
            return
        future.set_result(Answer(note=note, descriptors=tuple(descriptors)))

    def _lose(self) -> None:
        self.lost = True
        self._loop.remove_reader(self._peer)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(SlotLostError("the keeper of the slots died"))
        self._waiting.clear()

    async def ask(self, request: Mapping[str, Any], *descriptors: int) -> Answer:
        """Send a request and return the answer; `error` in its note tells of a failure.

        Raises: SlotLostError: the keeper is gone.
        """
        if self.lost:
            raise SlotLostError("the keeper of the slots died")
        self._last += 1
        number = self._last
        future = self._expect(number)
        try:
            async with self._sending:
                await self._send({**request, "id": number}, descriptors)
            return await future
        except OSError as error:
            raise SlotLostError(f"the keeper of the slots can't be reached: {error}") from error
        except asyncio.CancelledError:
            future.add_done_callback(_forget)
            raise

    async def _send(self, note: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        while True:
            try:
                notes.send(self._peer, note, *descriptors)
            except BlockingIOError:
                writable = asyncio.Event()
                self._loop.add_writer(self._peer, writable.set)
                try:
                    await writable.wait()
                finally:
                    self._loop.remove_writer(self._peer)
            else:
                return

    def take_failure(self, number: int) -> str:
        """Return why the slot of a request couldn't be built, or nothing."""
        return self._failures.pop(number, "")

    def _port(self, number: int) -> asyncio.Future[int]:
        return self._ports.setdefault(number, self._loop.create_future())

    async def take_port(self, number: int, *, timeout: float) -> int:
        """Return the listening socket of the slot of a request; the caller's to close.

        Raises: SlotStartError: the slot sent none.
        """
        # It was sent before the slot's greeting, through another socket.
        await asyncio.wait({self._port(number)}, timeout=timeout)
        future = self._ports.pop(number)
        if not future.done():
            raise SlotStartError("the slot sent no listening socket")
        return future.result()

    def forget_port(self, number: int) -> None:
        """Close the listening socket of the slot of a request, if nobody took it."""
        future = self._ports.pop(number, None)
        if future is not None and future.done():
            os.close(future.result())

    async def aclose(self) -> bool:
        """End the keeper and every slot; return whether it is gone. May be called again."""
        if not self.lost:
            self._lose()
        self._peer.close()
        try:
            async with asyncio.timeout(_STOP_GENTLY):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1
        for number in list(self._ports):
            self.forget_port(number)
        return True


def _forget(future: asyncio.Future[Answer]) -> None:
    """Close what comes for a caller who is gone: the slot then ends."""
    if not future.cancelled() and future.exception() is None:
        for descriptor in future.result().descriptors:
            os.close(descriptor)
