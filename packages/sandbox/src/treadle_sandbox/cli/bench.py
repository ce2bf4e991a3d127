"""`treadle-sandbox bench`: how quick the sandboxes of a backend are here."""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.cli.settings import make_backend

_CYCLES = 10


def main(options: argparse.Namespace) -> int:
    """Print a table; returns 0."""
    return asyncio.run(_bench(options))


async def _bench(options: argparse.Namespace) -> int:
    slots = max(1, options.clients)
    async with make_backend(options, slots=slots) as backend:
        found = backend.capabilities
        print(f"backend {found.backend}, isolation {found.isolation}, {found.slots} slots")
        await _print_cycles(backend)
        for clients in sorted({1, slots}):
            for name, prepare in _COMMANDS.items():
                await _print_rate(backend, name, prepare, clients, options.seconds)
    return 0


async def _print_cycles(backend: Backend) -> None:
    times: dict[str, list[float]] = {"lease": [], "reset": [], "close": []}
    for _ in range(_CYCLES):
        start = time.perf_counter()
        lease = await backend.lease()
        times["lease"].append(time.perf_counter() - start)
        start = time.perf_counter()
        await lease.reset()
        times["reset"].append(time.perf_counter() - start)
        start = time.perf_counter()
        await lease.aclose()
        times["close"].append(time.perf_counter() - start)
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:18} min {min(values) * 1e3:7.2f} ms   p50 {median * 1e3:7.2f} ms")


Call = Callable[[], Awaitable[object]]


async def _exec(lease: Lease) -> Call:
    return lambda: lease.exec(["true"])


async def _shell(lease: Lease) -> Call:
    return lambda: lease.shell("true")


async def _session(lease: Lease) -> Call:
    session = await lease.session()
    return lambda: session.run("true")


async def _external(lease: Lease) -> Call:
    session = await lease.session()
    return lambda: session.run("/bin/true")


_COMMANDS: dict[str, Callable[[Lease], Awaitable[Call]]] = {
    "exec true": _exec,
    "shell true": _shell,
    "session true": _session,
    "session /bin/true": _external,
}


async def _print_rate(
    backend: Backend,
    name: str,
    prepare: Callable[[Lease], Awaitable[Call]],
    clients: int,
    seconds: float,
) -> None:
    leases = [await backend.lease() for _ in range(clients)]
    try:
        calls = [await prepare(lease) for lease in leases]
        times: list[float] = []
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(_repeat(call, start + seconds, times))
        elapsed = time.perf_counter() - start
    finally:
        for lease in leases:
            await lease.aclose()
    median, late = statistics.median(times), sorted(times)[int(len(times) * 0.99)]
    print(
        f"{name:18} c={clients:<4} {len(times) / elapsed:7.0f}/s   p50 {median * 1e3:7.2f} ms   "
        f"p99 {late * 1e3:7.2f} ms"
    )


async def _repeat(call: Call, end: float, times: list[float]) -> None:
    while (start := time.perf_counter()) < end:
        await call()
        times.append(time.perf_counter() - start)
