"""Time `exec` in local slots, for each isolation level this machine has.

Prints, for `true` and a Python that prints, one client and eight: commands a second, and the median
and 99th percentile of the time one takes as the caller sees it; and the time to take and to close a
lease.

    uv run benchmarks/sandbox_exec.py [--seconds 3]
"""

import argparse
import asyncio
import statistics
import sys
import time

from treadle_sandbox import Isolation, IsolationUnavailableError, LocalBackend
from treadle_sandbox.backend import Lease

COMMANDS = {
    "true": ["true"],
    "python3 -I -S": ["python3", "-I", "-S", "-c", "print(1)"],
    "python3": ["python3", "-c", "print(1)"],
}


async def repeat(lease: Lease, argv: list[str], end: float, times: list[float]) -> None:
    """Run a command again and again until `end`."""
    while (start := time.perf_counter()) < end:
        result = await lease.exec(argv)
        assert result.exit_code == 0, result
        times.append(time.perf_counter() - start)


async def measure(backend: LocalBackend, argv: list[str], clients: int, seconds: float) -> str:
    """Return one row of figures."""
    leases = [await backend.lease() for _ in range(clients)]
    times: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(repeat(lease, argv, start + seconds, times) for lease in leases))
    elapsed = time.perf_counter() - start
    for lease in leases:
        await lease.aclose()
    median, late = statistics.median(times), sorted(times)[int(len(times) * 0.99)]
    rate = len(times) / elapsed
    return f"{rate:8.0f}/s   p50 {median * 1e3:6.1f} ms   p99 {late * 1e3:6.1f} ms"


async def measure_leases(backend: LocalBackend) -> str:
    """Return the times to take and to close a lease, one after another."""
    taken: list[float] = []
    closed: list[float] = []
    for _ in range(20):
        start = time.perf_counter()
        lease = await backend.lease()
        middle = time.perf_counter()
        await lease.aclose()
        taken.append(middle - start)
        closed.append(time.perf_counter() - middle)
    values = (min(taken), statistics.median(taken), min(closed), statistics.median(closed))
    take, take_median, close, close_median = (value * 1e3 for value in values)
    took = f"take min {take:.1f} ms, median {take_median:.1f} ms"
    return f"{took}; close min {close:.1f} ms, median {close_median:.1f} ms"


async def run(seconds: float) -> None:
    """Measure every level."""
    for level in Isolation:
        others = [other for other in Isolation if other is not level]
        try:
            async with LocalBackend(slots=8, min_isolation=level, exclude=others) as backend:
                print(f"{level}: lease {await measure_leases(backend)}")
                for name, argv in COMMANDS.items():
                    for clients in (1, 8):
                        row = await measure(backend, argv, clients, seconds)
                        print(f"  {name:14} c={clients}  {row}", flush=True)
        except IsolationUnavailableError as error:
            print(f"{level}: skipped, {error}")


def main(argv: list[str]) -> int:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row (default: 3)")
    asyncio.run(run(parser.parse_args(argv).seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
