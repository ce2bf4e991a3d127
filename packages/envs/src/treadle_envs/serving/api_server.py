"""The embedded trajectory API: atroposlib's own server on loopback, as a child process.

Run as `python -m treadle_envs.serving.api_server PORT PARENT_PID`. It prints `listening on URL` on
standard output once it accepts connections and stops with its parent.
"""

import socket
import sys

import uvicorn

from treadle_envs.serving.children import die_with_parent


class _AnnouncingServer(uvicorn.Server):
    """Prints one line once the sockets accept connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            print(f"listening on http://127.0.0.1:{self.config.port}", flush=True)


def main(argv: list[str]) -> int:
    """Serve until terminated; returns the exit status."""
    port, parent = int(argv[0]), int(argv[1])
    die_with_parent(parent)
    config = uvicorn.Config(
        "atroposlib.api:app", host="127.0.0.1", port=port, log_level="warning", loop="asyncio"
    )
    server = _AnnouncingServer(config)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
