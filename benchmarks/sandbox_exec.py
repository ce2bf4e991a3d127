"""Time commands in local slots, for each isolation level this machine has.

Prints, for each way to run a command and 1, 16 and 64 slots at once: commands a second, the median
and 99th percentile of the time one takes as the caller sees it, and the processor time that one
costs in this process and in its slots; and the time to take and to close a lease.

    uv run benchmarks/sandbox_exec.py [--seconds 3] [--slots 1,16,64]
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from treadle_sandbox import Isolation, IsolationUnavailableError, LocalBackend
from treadle_sandbox.backend import Lease
from treadle_sandbox.records import ExecResult

Run = Callable[[], Awaitable[ExecResult]]
PYTHON = ["python3", "-I", "-S", "-c", "print(1)"]


async def in_session(lease: Lease, script: str) -> Run:
    """Return a way to run a script in a session of the lease."""
    session = await lease.session()
    return lambda: session.run(script)


async def in_shell(lease: Lease, script: str) -> Run:
    """Return a way to run a script in a fresh shell each time."""
    return lambda: lease.shell(script)


async def by_argv(lease: Lease, argv: list[str]) -> Run:
    """Return a way to run a program."""
    return lambda: lease.exec(argv)


WAYS: dict[str, Callable[[Lease], Awaitable[Run]]] = {
    "session: true": lambda lease: in_session(lease, "true"),
    "session: /bin/true": lambda lease: in_session(lease, "/bin/true"),
    "exec: true": lambda lease: by_argv(lease, ["true"]),
    "shell: true": lambda lease: in_shell(lease, "true"),
    "exec: python3 -I -S": lambda lease: by_argv(lease, PYTHON),
}


def read_processor_time() -> float:
    """Return the seconds of processor time of this process and everything below it, so far."""
    rows: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        rows[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    found = [os.getpid()]
    for process in found:
        found += [child for child, (parent, _) in rows.items() if parent == process]
    return sum(rows[process][1] for process in found) / os.sysconf("SC_CLK_TCK")


async def repeat(run: Run, end: float, times: list[float]) -> None:
    """Run a command again and again until `end`."""
    while (start := time.perf_counter()) < end:
        result = await run()
        assert result.exit_code == 0, result
        times.append(time.perf_counter() - start)


async def measure(
    backend: LocalBackend, way: Callable[[Lease], Awaitable[Run]], clients: int, seconds: float
) -> str:
    """Return one row of figures."""
    leases = [await backend.lease() for _ in range(clients)]
    runs = [await way(lease) for lease in leases]
    for run in runs:
        await run()
    times: list[float] = []
    used, start = read_processor_time(), time.perf_counter()
    await asyncio.gather(*(repeat(run, start + seconds, times) for run in runs))
    elapsed, used = time.perf_counter() - start, read_processor_time() - used
    for lease in leases:
        await lease.aclose()
    median, late = statistics.median(times), sorted(times)[int(len(times) * 0.99)]
    rate, cost = len(times) / elapsed, used / len(times)
    latency = f"p50 {median * 1e3:6.2f} ms   p99 {late * 1e3:6.1f} ms"
    return f"{rate:8.0f}/s   {latency}   processor {cost * 1e3:5.2f} ms"


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


async def run(seconds: float, counts: list[int]) -> None:
    """Measure every level."""
    for level in Isolation:
        others = [other for other in Isolation if other is not level]
        try:
            async with LocalBackend(
                slots=max(counts), min_isolation=level, exclude=others
            ) as backend:
                print(f"{level}: lease {await measure_leases(backend)}")
                for name, way in WAYS.items():
                    for count in counts:
                        row = await measure(backend, way, count, seconds)
                        print(f"  {name:20} c={count:<3} {row}", flush=True)
        except IsolationUnavailableError as error:
            print(f"{level}: skipped, {error}")


def main(argv: list[str]) -> int:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row (default: 3)")
    parser.add_argument("--slots", default="1,16,64", help="slots at once (default: 1,16,64)")
    options = parser.parse_args(argv)
    asyncio.run(run(options.seconds, [int(count) for count in options.slots.split(",")]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
