"""What a server counts, as plain numbers; `metrics` shows them to Prometheus."""

from bisect import bisect_left
from itertools import accumulate

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histogram, in seconds."""


class Tally:
    """Counters since the server started."""

    def __init__(self) -> None:
        self.requests = 0
        self.refused = 0
        self.malformed = 0
        self.dropped = 0
        self.seconds = 0.0
        self._counts = [0] * (len(BUCKETS) + 1)

    def observe(self, seconds: float) -> None:
        """Count a command by how long it took, its result included."""
        self.seconds += seconds
        self._counts[bisect_left(BUCKETS, seconds)] += 1

    def histogram(self) -> list[tuple[str, float]]:
        """Return the cumulative buckets."""
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        return [(b, float(n)) for b, n in zip(bounds, accumulate(self._counts), strict=True)]
