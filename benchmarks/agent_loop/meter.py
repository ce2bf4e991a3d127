"""What a client costs while it runs rollouts: CPU time of its process, lag of its event loop, wall.

Standard library only: every client runs it, each in an environment of its own. A client is a
function that runs one rollout and returns the number of model answers it got.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Rollout = Callable[[], Awaitable[int]]


def job() -> dict[str, Any]:
    """Return what this process was started to do."""
    return json.loads(sys.argv[1])


async def measure(rollout: Rollout, *, rollouts: int, turns: int, version: str) -> None:
    """Run all rollouts at once, after a few to warm up, and print one line of JSON."""
    await asyncio.gather(*(rollout() for _ in range(8)))
    lags: list[float] = []
    watch = asyncio.create_task(_watch(lags))
    before = _resident_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    answers = await asyncio.gather(*(rollout() for _ in range(rollouts)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    watch.cancel()
    await asyncio.wait([watch])
    wrong = [count for count in answers if count != turns]
    if wrong:
        raise RuntimeError(f"{len(wrong)} rollouts had {wrong[0]} turns, not {turns}")
    lags.sort()
    figures = {
        "version": version,
        "cpu_ms": cpu / (rollouts * turns) * 1e3,
        "lag_max_ms": lags[-1] * 1e3,
        "lag_p99_ms": lags[int(len(lags) * 0.99)] * 1e3,
        "wall_s": wall,
        "rss_grown_mb": _resident_mb() - before,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures), flush=True)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def _watch(lags: list[float]) -> None:
    """Note how late the event loop wakes a task up."""
    pause = 0.002
    while True:
        due = time.perf_counter() + pause
        await asyncio.sleep(pause)
        lags.append(max(time.perf_counter() - due, 0.0))
