"""The place tools run in, as the loop sees it.

`Workspace` is the only thing the agent loop knows about sandboxes: a lease of `treadle-sandbox`
satisfies it structurally, and so does anything else with these methods. Expected outcomes (exit
codes, timeouts) are values; only dead infrastructure raises.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from treadle_agent_loop.errors import ToolError


class CommandResult(Protocol):
    """What one finished command left."""

    @property
    def exit_code(self) -> int:
        """Exit status; 128 + n for signal n; 124 when it ran into its timeout."""
        ...

    @property
    def stdout(self) -> bytes:
        """Standard output, bounded by `output_limit`."""
        ...

    @property
    def stderr(self) -> bytes:
        """Standard error, bounded by `output_limit`."""
        ...

    @property
    def timed_out(self) -> bool:
        """Whether the timeout killed it; the output up to then is kept."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether output was cut at `output_limit`."""
        ...


class Workspace(Protocol):
    """An isolated working directory with commands and files."""

    @property
    def workdir(self) -> str:
        """The working directory as commands inside see it."""
        ...

    @property
    def isolation(self) -> str:
        """Name of the isolation level that holds here, for example `bubblewrap`."""
        ...

    async def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float = 30.0,
        output_limit: int = 1_000_000,
    ) -> CommandResult:
        """Run one command to its end; `timeout` in seconds, `output_limit` in bytes per stream."""
        ...

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a file's bytes; relative paths start at `workdir`. Raises FileNotFoundError."""
        ...

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file and create its parent folders."""
        ...


@runtime_checkable
class TransferWorkspace(Protocol):
    """A workspace that moves files and whole folders itself, as sandbox leases do."""

    async def upload(self, source: Path, target: str = ".") -> int:
        """Copy a file or a folder into the workspace; return the number of files."""
        ...

    async def download(self, source: str, target: Path, *, limit: int = 64_000_000) -> int:
        """Copy a file or a folder out of the workspace; return the number of files."""
        ...


@contextmanager
def told_to_model() -> Generator[None]:
    """Turn what a workspace refuses (no such file, no room, a bad path) into a `ToolError`.

    Lost connections and timeouts of the workspace itself are no answer to the model: they pass.
    """
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise
    except (OSError, ValueError) as error:
        raise ToolError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
