"""What every call of a local lease needs: the slot, the state of the lease, a request and its
answer.
"""

import asyncio
import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from treadle_sandbox import errors
from treadle_sandbox.counters import Counters
from treadle_sandbox.local.channel import Reply
from treadle_sandbox.local.contract import file_error
from treadle_sandbox.local.folder import MARK
from treadle_sandbox.local.root import PATH, WORKDIR
from treadle_sandbox.local.slot import finish
from treadle_sandbox.local.source import Slot
from treadle_sandbox.records import Isolation
from treadle_sandbox.slot import frames

ANSWER_GRACE = 15.0
_FILE_TIMEOUT = 60.0


class Calls:
    """The slot of a lease, and requests to it."""

    def __init__(
        self,
        *,
        name: str,
        slot: Slot,
        isolation: Isolation,
        limits: Mapping[str, int],
        environment: Mapping[str, str],
        counters: Counters,
    ) -> None:
        self._name = name
        self._isolation = isolation
        self._limits = dict(limits)
        self._extra = dict(environment)
        self._counters = counters
        self._closed: errors.SandboxError | None = None
        self._attach(slot)

    def _attach(self, slot: Slot) -> None:
        """Use a new slot from now on."""
        self._slot = slot
        self._workdir = WORKDIR if slot.folder is None else str(slot.folder / "work")
        self._environment = {**self._base_environment(), **self._extra}
        request = {"op": "limits", "limits": self._limits}
        slot.channel.send_raw(frames.encode_request(request))

    @property
    def id(self) -> str:
        """Unique name of this lease."""
        return self._name

    @property
    def isolation(self) -> Isolation:
        """The level that holds here."""
        return self._isolation

    @property
    def workdir(self) -> str:
        """The working directory as commands see it."""
        return self._workdir

    @property
    def slot(self) -> Slot:
        """The slot in use now; a reset brings another one."""
        return self._slot

    def _base_environment(self) -> dict[str, str]:
        base = {"PATH": PATH, "HOME": WORKDIR, "TMPDIR": "/tmp"}
        folder = self._slot.folder
        if folder is not None:
            path = f"{folder}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
            base = {
                "PATH": path,
                "HOME": f"{folder}/work",
                "TMPDIR": f"{folder}/tmp",
                MARK: str(folder),
            }
        return {**base, "LANG": "C.UTF-8", "USER": "sandbox", "LOGNAME": "sandbox"}

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed

    def _resolve(self, path: str) -> str:
        if "\0" in path:
            raise errors.InvalidCommandError(f"a path can't hold a NUL character: {path!r}")
        return posixpath.join(self._workdir, path)

    async def ask(self, request: dict[str, Any], *, timeout: float) -> Reply:
        """Send a request to the slot and return its reply, which may be an error.

        When the caller is cancelled, what the request started is ended first.
        """
        self._check_open()
        number, future = self._slot.channel.send(request)
        return await self._wait(number, future, timeout)

    async def command(self, request: dict[str, Any], *, timeout: float) -> Reply:
        """Ask for a command: counted, its infrastructure failures too."""
        self._check_open()
        fence = self._slot.fence
        kills = fence.out_of_memory_kills()
        number, future = self._slot.channel.send(request)
        counters = self._counters
        counters.execs += 1
        counters.running += 1
        try:
            reply = await self._wait(number, future, timeout)
        except errors.SandboxError as error:
            counters.failures[type(error).__name__] += 1
            raise
        finally:
            counters.running -= 1
        if reply.flags & frames.TIMED_OUT:
            counters.timeouts += 1
        if fence.out_of_memory_kills() > kills:
            return replace(reply, flags=reply.flags | frames.OUT_OF_MEMORY)
        return reply

    async def _wait(self, number: int, future: asyncio.Future[Reply], timeout: float) -> Reply:
        channel = self._slot.channel
        try:
            return await channel.wait(future, timeout=timeout + ANSWER_GRACE)
        except errors.SlotLostError:
            self._check_open()
            raise
        except asyncio.CancelledError:
            await finish(channel.settle(number, timeout=ANSWER_GRACE))
            raise

    async def _ask_file(self, request: dict[str, Any], timeout: float = _FILE_TIMEOUT) -> Reply:
        path = request["path"]
        reply = await self.ask({**request, "path": self._resolve(path)}, timeout=timeout)
        if reply.error:
            raise file_error(reply.error, path, request.get("limit", 0))
        return reply
