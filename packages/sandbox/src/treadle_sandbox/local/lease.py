"""The exclusive use of one local slot."""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from treadle_sandbox import errors
from treadle_sandbox.counters import Counters
from treadle_sandbox.local.commands import CommandCalls
from treadle_sandbox.local.contract import resource_limits
from treadle_sandbox.local.filecalls import FileCalls
from treadle_sandbox.local.replacement import Builder, Replacement
from treadle_sandbox.local.sessions import LocalSession
from treadle_sandbox.local.slot import finish
from treadle_sandbox.local.source import Slot
from treadle_sandbox.records import Isolation, Limits
from treadle_sandbox.slot import frames

_KILL_TIMEOUT = 60.0


class LocalLease(CommandCalls, FileCalls, Replacement["LocalLease"]):
    """A slot in use. `LocalBackend.lease` makes it."""

    def __init__(
        self,
        *,
        name: str,
        slot: Slot,
        isolation: Isolation,
        limits: Limits,
        environment: Mapping[str, str],
        builder: "Builder[LocalLease]",
        give_back: "Callable[[LocalLease, bool], None]",
        counters: Counters,
        lifetime: float | None = None,
    ) -> None:
        super().__init__(
            name=name,
            slot=slot,
            isolation=isolation,
            limits=resource_limits(limits, isolation),
            environment=environment,
            counters=counters,
        )
        self._builder = builder
        self._give_back = give_back
        self._sessions: dict[str, LocalSession] = {}
        self._closing: asyncio.Future[None] | None = None
        self._replacing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._set_timer(lifetime)

    async def renew(self, seconds: float) -> float:
        """Let the lease live `seconds` from now; return the seconds that hold."""
        self._check_open()
        if self._timer is None:
            return float("inf")
        self._set_timer(seconds)
        return seconds

    def _set_timer(self, seconds: float | None) -> None:
        if seconds is not None and not 0 < seconds < float("inf"):
            raise errors.InvalidCommandError(f"lifetime is {seconds!r}: give seconds above 0")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        if self._closing is None:
            message = f"lease {self.id} wasn't renewed in time and is closed; take a new one"
            self._begin_close(errors.LeaseExpiredError(message))

    async def kill_all(self) -> None:
        """End every process of the slot; files stay."""
        reply = await self.ask({"op": "kill"}, timeout=_KILL_TIMEOUT)
        if reply.flags & frames.UNFIT:
            raise errors.SlotLostError("a process of the slot can't be ended; take a new lease")

    async def aclose(self) -> None:
        """End every process, delete every file and give the slot back. May be called again."""
        if self._closing is None:
            message = f"lease {self.id} is closed; take a new one"
            self._begin_close(errors.LeaseClosedError(message))
        if self._closing is not None:
            await finish(_follow(self._closing))

    def _begin_close(self, reason: errors.SandboxError) -> None:
        self._closed = reason
        self._set_timer(None)
        self._closing = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        async with self._replacing:
            clean = False
            try:
                clean = await self._slot.stop()
            finally:
                self._give_back(self, clean)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


async def _follow(future: asyncio.Future[None]) -> None:
    await future
