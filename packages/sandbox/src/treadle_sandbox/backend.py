"""The interface of every sandbox backend.

A `Backend` owns slots; a `Lease` is the exclusive use of one slot: a fresh working directory, its
processes and its files. Both are async context managers with an idempotent `aclose`. Outcomes of
commands are values; errors are those of `treadle_sandbox.errors`. Cancelling a call ends what it
started in the slot before it returns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from treadle_sandbox.records import Capabilities, ExecResult, FileEntry, Isolation, Statistics


@runtime_checkable
class Lease(Protocol):
    """The exclusive use of one slot. Calls may run at the same time."""

    @property
    def id(self) -> str:
        """Unique name of this lease."""
        ...

    @property
    def workdir(self) -> str:
        """The working directory as commands see it."""
        ...

    @property
    def isolation(self) -> Isolation:
        """The level that holds here."""
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
    ) -> ExecResult:
        """Run one command to its end.

        `argv` is run as it is, without a shell; `env` adds to the slot's own small environment; a
        relative `workdir` starts at `Lease.workdir`; `timeout` is in seconds, `output_limit` in
        bytes a stream. Background processes of the command live on until `kill_all`, `reset` or
        `aclose`; a timeout ends them with it.

        Raises:
            InvalidCommandError: empty `argv`, a NUL character, a timeout that isn't positive.
            WorkdirError: `workdir` isn't there.
            SlotLostError: the slot died or stopped answering.
            LeaseClosedError: after `aclose`.
        """
        ...

    async def read_file(self, path: str, *, limit: int = 16_000_000) -> bytes:
        """Return a regular file's bytes; a relative path starts at `workdir`.

        Links are resolved inside the slot.

        Raises:
            SlotFileNotFoundError: it isn't there.
            FileTooLargeError: it has more than `limit` bytes.
            NotRegularFileError: a folder, pipe, socket, device, or a file of /proc.
            SlotFileError: the slot refuses for another reason.
        """
        ...

    async def write_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write a file and create its parent folders. Raises as `read_file`."""
        ...

    async def list_files(self, path: str = ".") -> tuple[FileEntry, ...]:
        """Return the regular files below a folder, sorted by path; links aren't followed."""
        ...

    async def upload(self, source: Path, target: str = ".") -> int:
        """Copy a file or the regular files of a folder into the slot; return their number."""
        ...

    async def download(self, source: str, target: Path, *, limit: int = 64_000_000) -> int:
        """Copy a file or a folder out of the slot; return the number of files.

        Nothing is written outside `target`. Raises FileTooLargeError above `limit` bytes in all.
        """
        ...

    async def kill_all(self) -> None:
        """End every process of the slot; files stay. A running `exec` returns exit code 137."""
        ...

    async def reset(self) -> None:
        """End every process and start again with an empty working directory.

        Raises:
            SlotStartError: the new slot couldn't be built; the lease is of no more use.
        """
        ...

    async def aclose(self) -> None:
        """End every process, delete every file and give the slot back. May be called again."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class Backend(Protocol):
    """A source of slots. Enter it before use."""

    @property
    def capabilities(self) -> Capabilities:
        """What was probed at the start. Raises BackendStateError before it."""
        ...

    async def lease(self, *, timeout: float = 30.0) -> Lease:
        """Wait for a free slot, first come first served, and return its lease.

        Raises:
            LeaseTimeoutError: none became free within `timeout` seconds.
            SlotStartError: the slot couldn't be built.
            BackendStateError: not started, closed, or every slot is in quarantine.
        """
        ...

    def statistics(self) -> Statistics:
        """Return the present state and the counters."""
        ...

    async def aclose(self) -> None:
        """Close every lease and give everything back. May be called again."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
