"""Which slots are free, who waits for one, and which are out of use."""

import asyncio
from collections import deque

from treadle_sandbox import errors


class Pool:
    """Numbers of slots, handed out first come first served."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free: deque[int] = deque(range(count))
        self._waiters: deque[asyncio.Future[int]] = deque()
        self.quarantined = 0
        """Slots that were never given back."""

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiters)

    async def take(self, timeout: float) -> int:
        """Return a free slot, first come first served.

        Raises:
            LeaseTimeoutError: none became free within `timeout` seconds.
            BackendStateError: there will be none: closed, or all in quarantine.
        """
        if self.quarantined == self._count:
            raise errors.BackendStateError(
                f"all {self._count} slots are in quarantine; restart the backend"
            )
        if self._free and not self._waiters:
            return self._free.popleft()
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(waiter)
        except TimeoutError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                return waiter.result()
            raise errors.LeaseTimeoutError(
                f"no slot became free within {timeout:g} s: of {self._count} slots "
                f"{self.quarantined} are in quarantine, the others leased; close leases or "
                "raise slots="
            ) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.put(waiter.result())
            raise
        finally:
            waiter.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def put(self, index: int) -> None:
        """Give a slot to who waits longest, or keep it free."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(index)
                return
        self._free.append(index)

    def quarantine(self) -> None:
        """Take a slot out of use."""
        self.quarantined += 1
        if self.quarantined == self._count:
            self.refuse("every slot is in quarantine; restart the backend")

    def refuse(self, reason: str) -> None:
        """Wake all who wait with a BackendStateError."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(errors.BackendStateError(reason))
