"""A persistent shell of a local lease."""

import asyncio
from typing import Any, Protocol

from treadle_sandbox.local.channel import Reply
from treadle_sandbox.local.contract import check_bounds, check_script, command_error
from treadle_sandbox.local.source import Slot
from treadle_sandbox.records import ExecResult, Isolation
from treadle_sandbox.slot import frames

_TIMEOUT = 30.0


class SlotAccess(Protocol):
    """The part of a lease that its sessions and jobs need."""

    @property
    def isolation(self) -> Isolation:
        """The level that holds here."""
        ...

    @property
    def slot(self) -> Slot:
        """The slot in use now."""
        ...

    async def ask(self, request: dict[str, Any], *, timeout: float) -> Reply:
        """Send a request and return its reply."""
        ...

    async def command(self, request: dict[str, Any], *, timeout: float) -> Reply:
        """Ask for a command."""
        ...

    def session_request(self, name: str) -> dict[str, Any]:
        """Return the request that opens a session."""
        ...


def read_result(reply: Reply, isolation: Isolation) -> ExecResult:
    """Return the result that a reply tells."""
    flags = reply.flags
    return ExecResult(
        exit_code=reply.exit_code,
        stdout=reply.first,
        stderr=reply.second,
        timed_out=bool(flags & frames.TIMED_OUT),
        truncated=bool(flags & frames.TRUNCATED),
        stdout_bytes=reply.stdout_bytes,
        stderr_bytes=reply.stderr_bytes,
        seconds=reply.seconds,
        isolation=isolation,
        out_of_memory=bool(flags & frames.OUT_OF_MEMORY),
    )


class LocalSession:
    """A shell that keeps its state; `LocalLease.session` makes it."""

    def __init__(self, lease: SlotAccess, name: str) -> None:
        self._lease = lease
        self._name = name
        self._lock = asyncio.Lock()
        self._slot: Slot | None = None
        self._restarts = 0

    @property
    def name(self) -> str:
        """Its name in the lease."""
        return self._name

    @property
    def restarts(self) -> int:
        """How often the shell had to be started anew; its state was lost each time."""
        return self._restarts

    async def open(self) -> None:
        """Start the shell when the slot in use doesn't have it yet."""
        if self._slot is self._lease.slot:
            return
        slot = self._lease.slot
        reply = await self._lease.ask(self._lease.session_request(self._name), timeout=_TIMEOUT)
        if reply.error:
            raise command_error(reply.error, self._name)
        self._restarts += self._slot is not None
        self._slot = slot

    async def run(
        self, script: str, *, timeout: float = 30.0, output_limit: int = 1_000_000
    ) -> ExecResult:
        """Run shell text in the session; see `treadle_sandbox.Session.run`."""
        check_bounds(timeout, output_limit)
        request = {
            "op": "run",
            "name": self._name,
            "script": check_script(script),
            "timeout": float(timeout),
            "output_limit": output_limit,
        }
        async with self._lock:
            if self._slot is not self._lease.slot:
                await self.open()
            reply = await self._lease.command(request, timeout=timeout)
        if reply.error:
            raise command_error(reply.error, self._name)
        if reply.flags & frames.RESTARTED:
            self._restarts += 1
        return read_result(reply, self._lease.isolation)

    async def aclose(self) -> None:
        """End the shell and what it started. May be called again."""
        if self._slot is None or self._slot is not self._lease.slot or self._slot.channel.lost:
            return
        self._slot = None
        await self._lease.ask({"op": "session_end", "name": self._name}, timeout=_TIMEOUT)
