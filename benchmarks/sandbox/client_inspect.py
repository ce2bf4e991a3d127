"""inspect_ai's local sandbox: no isolation, one temporary folder a client; it has no sessions.

python client_inspect.py KIND CLIENTS SECONDS
"""

import asyncio
import sys

import meter
from inspect_ai.util._concurrency import init_concurrency
from inspect_ai.util._sandbox.local import LocalSandboxEnvironment
from inspect_ai.util._subprocess import init_max_subprocesses

_COMMANDS = {"true": ["true"], "external": ["/bin/true"]}


async def main(kind: str, clients: int, seconds: float) -> None:
    """Measure and print."""
    init_concurrency()
    init_max_subprocesses(clients)
    boxes = [LocalSandboxEnvironment() for _ in range(clients)]
    calls = [lambda box=box: box.exec(_COMMANDS[kind]) for box in boxes]
    meter.report(await meter.measure(calls, seconds))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
