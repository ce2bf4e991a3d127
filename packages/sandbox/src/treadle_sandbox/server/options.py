"""The settings of a sandbox server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from treadle_sandbox.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How a server listens, what it demands and what it bears."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 picks a free one."""
    port_file: Path | None = None
    """File that receives `host:port` when the server listens."""
    token: str | None = None
    """Bearer token of the server; `None` is accepted on loopback alone."""
    public_metrics: bool = False
    """Whether `/metrics` needs no token."""
    body_limit: int = 256 << 20
    """Bytes of a request body."""
    connections: int = 16_384
    """Connections at one time."""
    head_timeout: float = 10.0
    """Seconds in which a request's head must arrive."""
    body_timeout: float = 120.0
    """Seconds in which a request's body must arrive."""
    idle_timeout: float = 75.0
    """Seconds that an unused connection is kept."""
    lifetime: float | None = None
    """Lifetime of leases that ask for none, and whose holder sends no heartbeat."""
    gone_client: Literal["kill", "finish"] = "kill"
    """What happens to a command whose client went away."""
    reconnect_grace: float = 1.0
    """Seconds in which a client that lost its connection may come back for a call."""
    grace: float = 8.0
    """Seconds that leases may go on after SIGTERM."""
    idle_exit: float | None = None
    """Seconds without lease and request after which the server ends."""
    access_log: bool = False
    """Whether every request is logged, as a line of JSON."""

    def __post_init__(self) -> None:
        if not self.local and not self.token:
            raise ConfigError(
                f"the server would listen on {self.host} without a token: give --token-file or set "
                "TREADLE_SANDBOX_TOKEN, or listen on 127.0.0.1"
            )
        if self.token is not None and len(self.token) < 8:
            raise ConfigError("the server's token has less than 8 characters: give a longer one")
        if not 0 <= self.port < 65536:
            raise ConfigError(f"port is {self.port}: give 0 to 65535")

    @property
    def local(self) -> bool:
        """Whether it listens on loopback alone."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")
