"""What environments need of a sandbox backend, and opening the one a configuration names.

`SandboxBackend` and `SandboxLease` are what this package consumes; the backends of
`treadle-sandbox` satisfy them, and so does anything else with these methods.
"""

from types import TracebackType
from typing import Protocol, Self

from treadle_agent_loop.workspace import Workspace
from treadle_envs.config import EnvironmentConfig
from treadle_sandbox import LocalBackend


class SandboxLease(Workspace, Protocol):
    """A sandbox of one rollout; leaving the context returns it, emptied."""

    async def __aenter__(self) -> Self:
        """Hold the sandbox."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Give it back."""
        ...


class SandboxBackend(Protocol):
    """Where leases come from."""

    async def lease(self, *, timeout: float = ...) -> SandboxLease:
        """Wait at most `timeout` seconds for a free sandbox."""
        ...


def local_backend(config: EnvironmentConfig) -> LocalBackend:
    """Return the backend that the settings name; entering it checks that it can isolate.

    Raises on entering:
        SandboxError: this machine can't isolate as `min_isolation` asks.
    """
    return LocalBackend(
        slots=config.sandbox_slots,
        min_isolation=config.min_isolation,
        network=config.allow_network,
    )
