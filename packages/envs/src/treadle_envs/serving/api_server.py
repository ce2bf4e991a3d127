"""The embedded trajectory API: atroposlib's own server on loopback, as a child process.

Run as `python -m treadle_envs.serving.api_server PORT`. It prints `listening on URL` on standard
output once it accepts connections, and stops when its standard input ends.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Generator

import uvicorn


class _ChildServer(uvicorn.Server):
    """Announces itself once the sockets accept connections; ends with standard input."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_stdin)
            print(f"listening on http://127.0.0.1:{self.config.port}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on a signal without raising it again, so that clean-up at exit happens."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _read_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


def main(argv: list[str]) -> int:
    """Serve until told to stop; returns the exit status."""
    config = uvicorn.Config(
        "atroposlib.api:app",
        host="127.0.0.1",
        port=int(argv[0]),
        log_level="warning",
        loop="asyncio",
    )
    server = _ChildServer(config)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
