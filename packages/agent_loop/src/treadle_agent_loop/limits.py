"""How many requests one server gets at a time: a limit that all rollouts share and that adapts.

At most `ceiling` requests hold a place. When the server says that it is overloaded, the number
allowed is halved, once for all the requests that were under way; each round of successes adds one
again (additive increase, multiplicative decrease). A server that names a time to come back gets no
request from anybody until then. Places are given in the order in which they were asked for.
"""

import asyncio
from collections import deque


class AdaptiveLimit:
    """Places for requests; for one event loop."""

    def __init__(self, ceiling: int) -> None:
        """Allow `ceiling` requests at first, and never more.

        Raises:
            ValueError: `ceiling` is less than 1.
        """
        if ceiling < 1:
            raise ValueError(f"concurrency must be at least 1, not {ceiling}")
        self.ceiling = ceiling
        self._allowed = float(ceiling)
        self._active = 0
        self._epoch = 0
        self._resume = 0.0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def allowed(self) -> int:
        """Requests that may be under way at present."""
        return int(self._allowed)

    @property
    def active(self) -> int:
        """Places that are taken."""
        return self._active

    async def acquire(self) -> int:
        """Wait for a place; returns what `overloaded` wants to know. Give it back by `release`."""
        if self._waiters or not self._has_room():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():  # the place came together with the cancellation
                    self.release()
                raise
        else:
            self._active += 1
        return self._epoch

    def release(self) -> None:
        """Give a place back."""
        self._active -= 1
        self._admit()

    def succeeded(self) -> None:
        """Note an answer: the limit grows by one for as many answers as it allows."""
        if self._allowed < self.ceiling:
            self._allowed = min(self._allowed + 1 / self._allowed, float(self.ceiling))

    def overloaded(self, epoch: int, pause: float | None = None) -> None:
        """Note that the server refused the request which `acquire` let through with `epoch`.

        Requests of one burst halve the limit once. For `pause` seconds nobody gets a place.
        """
        if epoch == self._epoch:
            self._epoch += 1
            self._allowed = max(1.0, min(self._allowed, self._active) / 2)
        if pause:
            loop = asyncio.get_running_loop()
            self._resume = max(self._resume, loop.time() + pause)
            loop.call_at(self._resume, self._admit)

    def _has_room(self) -> bool:
        if self._active >= int(self._allowed):
            return False
        return not self._resume or asyncio.get_running_loop().time() >= self._resume

    def _admit(self) -> None:
        while self._waiters and self._has_room():
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._active += 1
                waiter.set_result(None)
