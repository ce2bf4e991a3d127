"""Thousands of leases and kills; then nothing may be left, crossed or owned twice.

    uv run python benchmarks/sandbox/soak.py [--cycles 10000] [--kills 1000] [--seed 1]

First `cycles` times lease, command, reset, command, close, on slots of this machine, eight at a
time: each command prints a nonce, and a file that an earlier tenant would have left is looked
for. Then drivers work on a pool of sandbox servers while `kills` times a driver, a server or a
slot's process is killed with SIGKILL at random. In the end the machine is compared with what it was
before. Prints a report; exits 1 when anything was left, crossed or owned twice.
"""

import argparse
import asyncio
import gc
import json
import random
import secrets
import sys
import time

import storm
from inventory import Inventory, resident_bytes

from treadle_sandbox import Backend, LocalBackend

_WORKERS = 8
_SETTLE = 10.0


async def cycle(backend: Backend) -> None:
    """Use one lease as two tenants would, and check that neither sees the other."""
    async with await backend.lease(timeout=120) as lease:
        for _ in range(2):
            nonce = secrets.token_hex(8)
            script = f"test ! -e tenant && echo {nonce} | tee tenant /tmp/tenant; (sleep 99 &)"
            result = await lease.shell(script)
            assert result.stdout.decode().strip() == nonce, (nonce, result)
            plain = await lease.exec(["cat", "tenant"])
            assert plain.stdout.decode().strip() == nonce, (nonce, plain)
            await lease.reset()


async def run_cycles(count: int) -> list[int]:
    """Run all cycles; return the resident memory of this process at every tenth of them."""
    left, memory, done = iter(range(count)), [resident_bytes()], 0
    start = shown = time.monotonic()

    async def work() -> None:
        nonlocal done, shown
        for _ in left:
            await cycle(backend)
            done += 1
            if done % max(1, count // 10) == 0:
                memory.append(resident_bytes())
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"  {done} of {count}, {done / (shown - start):.0f}/s", file=sys.stderr)

    async with LocalBackend(slots=_WORKERS) as backend, asyncio.TaskGroup() as group:
        for _ in range(_WORKERS):
            group.create_task(work())
    return memory


def settle(before: Inventory) -> dict[str, list[str]]:
    """Return what is still left after everything had time to end."""
    end = time.monotonic() + _SETTLE
    while True:
        gc.collect()
        found = Inventory.take().left_since(before)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def main() -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    asyncio.run(run_cycles(_WORKERS))  # what is loaded once is loaded now
    before = Inventory.take()
    report: dict[str, object] = {}
    if options.cycles:
        memory = asyncio.run(run_cycles(options.cycles))
        report["cycles"] = options.cycles
        report["resident_megabytes"] = [round(value / 1e6, 1) for value in memory]
    if options.kills:
        report |= storm.run(options.kills, random.Random(options.seed))
    report["left"] = settle(before)
    print(json.dumps(report, indent=2))
    failed = report["left"] or report.get("crossed") or report.get("owned_twice")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
