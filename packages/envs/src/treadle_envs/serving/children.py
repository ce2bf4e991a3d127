"""Child servers of a run: started with a log file, waited for, and stopped with the run.

A child gets its own session, so that Ctrl-C reaches only the run, which then stops its children in
order. It says `listening on URL` in its log once it is ready, and ends when its standard input
does: the run holds the other end, so that a killed run leaves no orphan.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from treadle_envs.errors import ServerStartError

READY = "listening on "
_STOP_SECONDS = 3.0
_POLL_SECONDS = 0.05


@contextlib.asynccontextmanager
async def child_server(
    name: str, argv: Sequence[str], log: Path, *, timeout: float = 60.0
) -> AsyncGenerator[str]:
    """Run a server for the length of the block; yields the URL it listens on.

    Raises:
        ServerStartError: it ended, or said nothing for `timeout` seconds.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield await _wait_until_ready(process, name, log, timeout)
    finally:
        await asyncio.shield(_stop(process))


async def _wait_until_ready(
    process: asyncio.subprocess.Process, name: str, log: Path, timeout: float
) -> str:
    try:
        async with asyncio.timeout(timeout):
            while True:
                ended = process.returncode is not None
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
                for line in lines:
                    if line.startswith(READY):
                        return line.removeprefix(READY).strip()
                if ended:
                    last = next((line for line in reversed(lines) if line.strip()), "no message")
                    raise ServerStartError(f"the {name} ended at start: {last} (log: {log})")
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise ServerStartError(
            f"the {name} didn't answer within {timeout:.0f} s (log: {log})"
        ) from None


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Terminate the child's session, then kill what is left."""
    for step in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, step)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
                return
