"""Lets the long steps of many tasks through one at a time, so that the event loop stays awake.

When hundreds of answers arrive at once, hundreds of tasks want to render, encode and parse in one
round of the event loop; nothing else is served meanwhile, and requests time out that were answered.
A `Turnstile` lets one of them through a round, in the order of arrival. Alone, a task doesn't wait.
"""

import asyncio
from collections import deque


class Turnstile:
    """One step a round of the event loop; begins anew when it is used on another one."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = True
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Return when no other step was let through in this round of the event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._open, self._waiters = loop, True, deque()
        if self._open:
            self._open = False
            loop.call_soon(self._turn, loop)
            return
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the next one through, who then runs in the coming round."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                loop.call_soon(self._turn, loop)
                return
        self._open = True
