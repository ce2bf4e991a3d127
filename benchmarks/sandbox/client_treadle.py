"""Treadle: a sandbox server on loopback and its Python client, or leases in the same process.

python client_treadle.py {server|local} KIND CLIENTS SECONDS
"""

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import meter

from treadle_sandbox import Backend, Lease, LocalBackend
from treadle_sandbox.remote import RemoteBackend


def wait_for_address(place: Path) -> str:
    """Return what a server writes to its port file."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if place.is_file() and (address := place.read_text().strip()):
            return address
        time.sleep(0.05)
    raise SystemExit("the sandbox server didn't start")


async def make_call(lease: Lease, kind: str) -> meter.Call:
    """Return one client's call."""
    if kind == "true":
        return lambda: lease.shell("true")
    if kind == "external":
        return lambda: lease.shell("/bin/true")
    if kind == "argv":
        return lambda: lease.exec(["/bin/true"])
    session = await lease.session()
    return lambda: session.run("true")


@asynccontextmanager
async def serve(slots: int) -> AsyncIterator[Backend]:
    """Start a server process; yield its client."""
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "port"
        words = ("serve", "--port", "0", "--port-file", str(place), "--slots", str(slots))
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "treadle_sandbox", *words),
            env={**os.environ, "TREADLE_SANDBOX_TOKEN": token},
        )
        try:
            address = await asyncio.to_thread(wait_for_address, place)
            async with RemoteBackend(f"http://{address}", token=token) as backend:
                yield backend
        finally:
            server.terminate()
            await server.wait()


async def main(where: str, kind: str, clients: int, seconds: float) -> None:
    """Measure and print."""
    backend = LocalBackend(slots=clients) if where == "local" else serve(clients)
    async with backend as running:
        leases = [await running.lease() for _ in range(clients)]
        calls = [await make_call(lease, kind) for lease in leases]
        row = await meter.measure(calls, seconds)
        for lease in leases:
            await lease.aclose()
    meter.report(row)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
