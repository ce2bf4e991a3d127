"""A driver of the storm: workers that use a pool's leases until a SIGTERM; one JSON line a use.

python storm_driver.py STATE_FOLDER
"""

import asyncio
import json
import secrets
import signal
import sys
from collections import Counter
from pathlib import Path

from treadle_sandbox import Lease, SandboxError
from treadle_sandbox.config import ProcessConfig
from treadle_sandbox.pool import backend_of

_WORKERS = 6
_TURNS = 4


def config(state: Path) -> ProcessConfig:
    """Return the pool that all drivers of one storm share."""
    return ProcessConfig(
        name="storm",
        state=state,
        slots_per_container=3,
        min_containers=2,
        max_containers=3,
        health_check_interval=0.5,
        quarantine_after=2,
        remove_after=3,
        lease_lifetime=5.0,
        idle_exit=8.0,
    )


async def use(lease: Lease) -> str:
    """Mark a slot as one's own and look again and again whether it still is; say what is wrong."""
    nonce = secrets.token_hex(8)
    first = await lease.shell(f"ls -A; echo {nonce} > owner")
    if first.stdout:
        return f"not empty: {first.stdout[:80]!r}"
    for _ in range(_TURNS):
        again = await lease.shell(f"echo {nonce}; cat owner")
        if again.exit_code == 0 and again.stdout.decode().split() != [nonce, nonce]:
            return f"expected {nonce} twice, got {again.stdout[:80]!r}"
    return ""


async def main(state: Path) -> None:
    """Work until told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    lost: Counter[str] = Counter()

    async def work() -> None:
        while not stop.is_set():
            try:
                async with await backend.lease(timeout=30) as lease:
                    wrong = await use(lease)
                    name = lease.id
            except SandboxError as error:
                lost[type(error).__name__] += 1
                print(json.dumps({"lost": type(error).__name__}), flush=True)
                continue
            print(json.dumps({"lease": name, "wrong": wrong}), flush=True)

    async with backend_of(config(state)) as backend, asyncio.TaskGroup() as group:
        for _ in range(_WORKERS):
            group.create_task(work())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
