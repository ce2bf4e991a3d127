"""SWE-ReX: a server of its own on loopback, its client, one session a client.

python client_swerex.py KIND CLIENTS SECONDS
"""

import asyncio
import logging
import secrets
import socket
import sys
import time

import meter
from swerex.runtime.abstract import BashAction, Command, CreateBashSessionRequest
from swerex.runtime.remote import RemoteRuntime

_EXECUTE = {"true": ["true"], "external": ["/bin/true"]}


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def wait_until_alive(runtime: RemoteRuntime) -> None:
    """Return when the server answers."""
    end = time.monotonic() + 60
    while not await runtime.is_alive(timeout=1):
        if time.monotonic() > end:
            raise SystemExit("the server of SWE-ReX didn't start")
        await asyncio.sleep(0.1)


async def make_call(runtime: RemoteRuntime, kind: str, number: int) -> meter.Call:
    """Return one client's call."""
    if kind in _EXECUTE:
        command = Command(command=_EXECUTE[kind])
        return lambda: runtime.execute(command)
    name = f"client-{number}"
    await runtime.create_session(CreateBashSessionRequest(session=name))
    return lambda: runtime.run_in_session(BashAction(command="true", session=name))


async def main(kind: str, clients: int, seconds: float) -> None:
    """Measure and print."""
    logging.disable(logging.CRITICAL)
    token, port = secrets.token_hex(8), free_port()
    words = ("--port", str(port), "--auth-token", token)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "swerex", *words),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        runtime = RemoteRuntime(host="http://127.0.0.1", port=port, auth_token=token, timeout=60)
        await wait_until_alive(runtime)
        calls = [await make_call(runtime, kind, number) for number in range(clients)]
        meter.report(await meter.measure(calls, seconds))
    finally:
        server.kill()
        await server.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
