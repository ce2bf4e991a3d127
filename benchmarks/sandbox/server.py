"""How many commands a second the sandbox server answers: raw, and through the Python client.

    python benchmarks/sandbox/server.py [--backend instant|local] [--clients 1 16 64] [--seconds 5]

`instant` answers every command at once and so measures HTTP alone; `local` runs `true` in a real
session of a real slot. Raw is one asyncio process that sends prepared requests over as many
connections as clients. `fastapi` sends the same requests past the hot routes, to FastAPI's own, on
the same address: the way not taken. Server and client are two processes; on a machine with two
processors they share it with the slots.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from treadle_sandbox import Backend, LocalBackend
from treadle_sandbox.remote import RemoteBackend, RemoteLease
from treadle_sandbox.server import ServerOptions, serve
from treadle_sandbox.testing import FakeBackend


def make_backend(name: str, slots: int) -> Backend:
    """Return what the server offers."""
    return FakeBackend(slots=slots) if name == "instant" else LocalBackend(slots=slots)


class Sender(asyncio.Protocol):
    """Sends one request again and again, each when the last was answered."""

    def __init__(self, request: bytes, end: float) -> None:
        self._request = request
        self._end = end
        self._begun = 0.0
        self.times: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._begun = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take an answer, which comes in one piece or, head first, in two."""
        now = time.perf_counter()
        if not data.endswith(b"}\n"):
            if not data.startswith(b"HTTP/1.1 200") and not self.done.done():
                self.done.set_exception(RuntimeError(data[:300].decode("latin-1")))
            return
        self.times.append(now - self._begun)
        if now < self._end:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)


async def measure_raw(
    url: str, leases: list[RemoteLease], seconds: float, *, suffix: str = ""
) -> list[float]:
    """Return the times of all requests."""
    host, port = url.removeprefix("http://").split(":")
    end = time.perf_counter() + seconds
    body = b'{"script":"true"}\n'
    senders: list[Sender] = []
    for lease in leases:
        path = f"/v1/leases/{lease.id}/sessions/main/run{suffix}"
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {lease.token}\r\n"
        request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        loop = asyncio.get_running_loop()
        _, sender = await loop.create_connection(
            lambda request=request: Sender(request, end), host, int(port)
        )
        senders.append(sender)
    await asyncio.gather(*(sender.done for sender in senders))
    return [taken for sender in senders for taken in sender.times]


async def measure_client(leases: list[RemoteLease], seconds: float) -> list[float]:
    """Return the times of all calls of the Python client."""
    times: list[float] = []
    sessions = [await lease.session() for lease in leases]
    end = time.perf_counter() + seconds

    async def repeat(number: int) -> None:
        while (begun := time.perf_counter()) < end:
            await sessions[number].run("true")
            times.append(time.perf_counter() - begun)

    async with asyncio.TaskGroup() as group:
        for number in range(len(sessions)):
            group.create_task(repeat(number))
    return times


@asynccontextmanager
async def start_server(backend: str, slots: int) -> AsyncIterator[RemoteBackend]:
    """Start the server in a process of its own; yield its client."""
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "port"
        words = (sys.executable, __file__, "--serve", str(place), "--backend", backend)
        server = await asyncio.create_subprocess_exec(
            *words, "--clients", str(slots), env={**os.environ, "TREADLE_BENCH_TOKEN": token}
        )
        try:
            async with asyncio.timeout(30):
                while not place.is_file():  # noqa: ASYNC110 - a file gives no event
                    await asyncio.sleep(0.05)
            url = f"http://{place.read_text().strip()}"
            async with RemoteBackend(url, token=token) as remote:
                yield remote
        finally:
            server.terminate()
            await server.wait()


def show(way: str, clients: int, seconds: float, times: list[float]) -> None:
    """Print one row."""
    ordered = sorted(times)
    row = {
        "way": way,
        "clients": clients,
        "rate": round(len(times) / seconds),
        "p50_ms": round(statistics.median(ordered) * 1e3, 3),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 3),
    }
    print(json.dumps(row), flush=True)


async def measure(options: argparse.Namespace) -> None:
    """Measure every way at every number of clients."""
    most = max(options.clients)
    async with start_server(options.backend, most) as remote:
        leases = [await remote.lease() for _ in range(most)]
        url, seconds = remote.url, options.seconds
        for clients in options.clients:
            some = leases[:clients]
            await measure_client(some, 0.5)
            show("raw", clients, seconds, await measure_raw(url, some, seconds))
            show("client", clients, seconds, await measure_client(some, seconds))
            times = await measure_raw(url, some, seconds, suffix="?")
            show("fastapi", clients, seconds, times)


def main() -> None:
    """Parse, then serve or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=("instant", "local"), default="local")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is None:
        asyncio.run(measure(options))
        return
    wanted = ServerOptions(port_file=options.serve, token=os.environ["TREADLE_BENCH_TOKEN"])
    asyncio.run(serve(make_backend(options.backend, options.clients[0]), wanted))


if __name__ == "__main__":
    main()
