"""The embedded trajectory API: atroposlib's own server on loopback, as a child process.

Run as `python -m treadle_envs.serving.api_server PORT`. It prints `listening on URL` on standard
output once it accepts connections, and stops when its standard input ends.
"""

import asyncio
import os
import socket
import sys

import uvicorn


class _ChildServer(uvicorn.Server):
    """Announces itself once the sockets accept connections; ends with standard input."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_stdin)
            print(f"listening on http://127.0.0.1:{self.config.port}", flush=True)

    def _read_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
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
