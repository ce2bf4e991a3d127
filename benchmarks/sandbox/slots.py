"""Time what is done with whole slots, and weigh many of them.

Prints minimum, median and 99th percentile of lease, reset, snapshot, restore and fork of the local
backend, then the memory of `--many` slots at one time: the growth of what the system has in use,
files and kernel memory included, and the proportional share (PSS) of the keeper's processes.

    uv run python benchmarks/sandbox/slots.py --rounds 200 --many 500
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from treadle_sandbox import Isolation, Lease, LocalBackend


async def time_rounds(rounds: int, work: Callable[[], Awaitable[object]]) -> list[float]:
    """Return the milliseconds of each call."""
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        await work()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def show(name: str, times: list[float]) -> None:
    """Print one row of the table."""
    middle, late = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
    print(f"{name:<22}{times[0]:>9.2f}{middle:>9.2f}{late:>9.2f}")


async def measure(level: Isolation, rounds: int) -> None:
    """Print the table of one level."""
    others = [other for other in Isolation if other is not level]
    async with LocalBackend(slots=8, min_isolation="auto", exclude=others) as backend:
        print(f"{level}, ms:{'':<{20 - len(level)}}{'min':>7}{'median':>9}{'p99':>9}")

        async def lease_and_close() -> None:
            await (await backend.lease()).aclose()

        opened: list[Lease] = []

        async def create() -> None:
            opened.append(await backend.lease())

        async def close() -> None:
            await opened.pop().aclose()

        creations: list[float] = []
        closings: list[float] = []
        for _ in range(rounds):
            creations += await time_rounds(1, create)
            closings += await time_rounds(1, close)
        show("create", sorted(creations))
        show("close", sorted(closings))
        async with await backend.lease() as lease:
            show("reset", await time_rounds(rounds, lease.reset))
            if backend.capabilities.snapshots:
                await measure_layers(backend, lease, rounds)


async def measure_layers(backend: LocalBackend, lease: Lease, rounds: int) -> None:
    """Print the rows of snapshots, of a workspace with ten small files."""
    for number in range(10):
        await lease.write_file(f"folder/{number}", b"content\n" * 100)

    async def snapshot() -> None:
        await backend.discard(await lease.snapshot())

    show("snapshot and discard", await time_rounds(rounds, snapshot))
    kept = await lease.snapshot()
    show("restore", await time_rounds(rounds, lambda: lease.restore(kept)))

    async def fork() -> None:
        for forked in await lease.fork(4):
            await forked.aclose()

    show("fork(4) and close", await time_rounds(max(1, rounds // 4), fork))


def read_used() -> int:
    """Return the bytes of memory that the system has in use."""
    rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(rows[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return (total - available) * 1024


def read_shares(parent: int) -> int:
    """Return the PSS of everything below a process."""
    found, total = [parent], 0
    for process in found:
        try:
            children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
            rows = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        found += [int(child) for child in children]
        if process != parent:
            total += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) * 1024
    return total


async def weigh(many: int) -> None:
    """Print the memory of many slots that have run a command each."""
    before = read_used()
    async with LocalBackend(slots=many, exclude=["bubblewrap"]) as backend:
        start = time.perf_counter()
        leases = await asyncio.gather(*(backend.lease(timeout=300) for _ in range(many)))
        seconds = time.perf_counter() - start
        print(f"{many} slots in {seconds:.1f} s")
        show_memory("idle", before)
        await asyncio.gather(*(lease.exec(["true"], timeout=120) for lease in leases))
        show_memory("after a command each", before)
        await asyncio.sleep(3.0)  # idle supervisors end meanwhile
        show_memory("3 s later", before)


def show_memory(when: str, before: int) -> None:
    """Print what the system has in use since, and the share of the slots' processes."""
    used, shares = read_used() - before, read_shares(_own_process())
    print(f"{when}: {used / 1e6:.0f} MB in use, {shares / 1e6:.0f} MB PSS")


def _own_process() -> int:
    return int(Path("/proc/self").readlink().name)


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--many", type=int, default=500)
    parser.add_argument("--levels", nargs="*", type=Isolation, default=[Isolation.NAMESPACES])
    options = parser.parse_args()
    for level in options.levels:
        asyncio.run(measure(level, options.rounds))
    if options.many:
        asyncio.run(weigh(options.many))


if __name__ == "__main__":
    main()
