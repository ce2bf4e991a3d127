"""How fast servers may be created: a rate, and a back-off after failures. Pure; the caller gives
the time.
"""


class Pace:
    """Allows `rate` creations a second, and after failures in a row one at ever longer intervals.

    `first_delay` doubles with every failure up to `longest_delay`, in seconds.
    """

    def __init__(
        self, rate: float, now: float, *, first_delay: float = 0.25, longest_delay: float = 60.0
    ) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._tokens = self._most
        self._filled = now
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._open_at = now
        self.failures = 0
        """Failures since the last success."""
        self.reason = ""
        """Why the last creation failed."""

    def allowed(self, now: float) -> int:
        """Return how many servers may be created now."""
        self._fill(now)
        if self.failures:
            return int(now >= self._open_at and self._tokens >= 1.0)
        return int(self._tokens)

    def spend(self, count: int, now: float) -> None:
        """Count creations that begin now."""
        self._fill(now)
        self._tokens -= count
        if self.failures and count:
            self._open_at = now + self._delay()

    def wait(self, now: float) -> float:
        """Return the seconds until one more is allowed, 0 when it is now."""
        self._fill(now)
        filling = max(0.0, (1.0 - self._tokens) / self._rate)
        return max(filling, self._open_at - now if self.failures else 0.0)

    def succeed(self) -> None:
        """Count a server that became ready."""
        self.failures = 0
        self.reason = ""

    def fail(self, reason: str, now: float) -> None:
        """Count a server that couldn't be started."""
        self.failures += 1
        self.reason = reason
        self._open_at = max(self._open_at, now + self._delay())

    def _delay(self) -> float:
        doubled = self._first_delay * 2.0 ** min(self.failures - 1, 30)
        return min(self._longest_delay, doubled)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._most, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
