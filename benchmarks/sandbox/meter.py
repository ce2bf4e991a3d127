"""Times one call again and again, for many clients at once; prints one JSON line.

Used by every client script, in the environment of each project.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

Call = Callable[[], Awaitable[object]]
WARM_UP = 5
"""Calls of each client before the clock starts."""


async def measure(calls: Sequence[Call], seconds: float) -> dict[str, float]:
    """Run every call in a loop of its own; return calls a second and times in milliseconds."""
    for call in calls:
        for _ in range(WARM_UP):
            await call()
    times: list[float] = []
    start = time.perf_counter()
    end = start + seconds

    async def repeat(call: Call) -> None:
        while (begun := time.perf_counter()) < end:
            await call()
            times.append(time.perf_counter() - begun)

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(repeat(call))
    elapsed = time.perf_counter() - start
    late = sorted(times)[min(len(times) - 1, int(len(times) * 0.99))]
    return {
        "rate": len(times) / elapsed,
        "p50_ms": statistics.median(times) * 1e3,
        "p99_ms": late * 1e3,
    }


def report(row: dict[str, float]) -> None:
    """Print what `measure` returned."""
    print(json.dumps(row), flush=True)
