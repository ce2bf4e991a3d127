"""How often something may be done: a bucket of tokens that fills with time."""

import asyncio
import time
from collections.abc import Callable


class RateCap:
    """Lets `per_second` callers pass in a second, after a first burst of as many.

    Callers pass in the order they came. A caller that is cancelled while it waits uses nothing up.
    """

    def __init__(self, per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._room = max(1.0, per_second)
        self._tokens = self._room
        self._clock = clock
        self._filled = clock()
        self._line = asyncio.Lock()

    async def wait(self) -> None:
        """Return when the caller may go on."""
        async with self._line:
            missing = 1.0 - self._fill()
            if missing > 0:
                await asyncio.sleep(missing / self._per_second)
                self._fill()
            self._tokens -= 1.0

    def _fill(self) -> float:
        now = self._clock()
        self._tokens = min(self._room, self._tokens + (now - self._filled) * self._per_second)
        self._filled = now
        return self._tokens
