"""The interface of every sandbox backend.

A `Backend` owns slots; a `Lease` is the exclusive use of one slot: a fresh working directory, its
processes and its files. Both are async context managers with an idempotent `aclose`. Outcomes of
commands are values; errors are those of `treadle_sandbox.errors`. Cancelling a call ends what it
started in the slot before it returns.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from treadle_sandbox.records import (
    Capabilities,
    ExecResult,
    FileEntry,
    Isolation,
    JobState,
    OutputChunk,
    Privilege,
    Snapshot,
    Statistics,
)


@runtime_checkable
class Session(Protocol):
    """A shell that keeps its variables, functions and working directory between calls.

    Calls of one session run one after another. What a command does to its shell (`exit 3`,
    `exec 1>&-`, a redefined builtin) ends in a typed result; the next call then gets a new shell,
    and `restarts` has grown.
    """

    @property
    def name(self) -> str:
        """Its name in the lease."""
        ...

    @property
    def restarts(self) -> int:
        """How often the shell had to be started anew; its state was lost each time."""
        ...

    async def run(
        self, script: str, *, timeout: float = 30.0, output_limit: int = 1_000_000
    ) -> ExecResult:
        """Run shell text in the session. Raises as `Lease.exec`."""
        ...

    async def aclose(self) -> None:
        """End the shell and what it started. May be called again."""
        ...


@runtime_checkable
class Job(Protocol):
    """A command in the background of a slot. It lives until it ends, `kill_all` or `reset`."""

    @property
    def id(self) -> str:
        """Name by which `Lease.job` finds it again."""
        ...

    async def state(self) -> JobState:
        """Return what is known now. Raises JobNotFoundError after a reset."""
        ...

    async def wait(self, timeout: float | None = None) -> JobState:
        """Return the state when the job has ended, or after `timeout` seconds."""
        ...

    async def read(
        self, stream: str = "stdout", offset: int = 0, *, limit: int = 1_000_000, wait: float = 0.0
    ) -> OutputChunk:
        """Return what was written to a stream from `offset` on, at most `limit` bytes.

        Waits up to `wait` seconds while there is nothing. The chunk begins later than `offset` when
        the slot no longer holds that part; it is empty at the end.
        """
        ...

    def output(self, stream: str = "stdout", offset: int = 0) -> AsyncIterator[OutputChunk]:
        """Yield pieces as they are written, until the job has ended."""
        ...

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Write to its standard input; `end` closes it. Waits while the pipe is full."""
        ...

    async def kill(self, signal: int = 9) -> None:
        """Signal the job's process group; signal 9 ends everything below it too."""
        ...


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
        privilege: Privilege = Privilege.USER,
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
            UnsupportedError: the level has no such `privilege`.
        """
        ...

    async def shell(
        self,
        script: str,
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float = 30.0,
        output_limit: int = 1_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> ExecResult:
        """Run shell text in a fresh bash, which depends on nothing that ran before and which no
        command can reach before it starts. Raises as `exec`; a `session` is several times quicker.
        """
        ...

    async def session(self, name: str = "main") -> Session:
        """Return the persistent shell of that name, started when it isn't there."""
        ...

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout: float | None = None,
        keep: int = 8_000_000,
        privilege: Privilege = Privilege.USER,
    ) -> Job:
        """Start a command in the background, with its standard input open.

        The slot keeps the last `keep` bytes of each stream. Raises as `exec`.
        """
        ...

    async def job(self, name: str) -> Job:
        """Return a job that was started before, also by another client. Raises
        JobNotFoundError.
        """
        ...

    async def jobs(self) -> tuple[JobState, ...]:
        """Return all jobs since the last reset, oldest first."""
        ...

    async def archive(self, path: str = ".", *, limit: int = 1_000_000_000) -> bytes:
        """Return a folder or file as an uncompressed tar archive, modes kept, owners left out.

        Raises as `read_file`.
        """
        ...

    async def extract(self, data: bytes, path: str = ".") -> int:
        """Unpack a tar archive (plain or gzip) below a folder; return the number of files.

        Raises:
            ArchiveError: a name that leads outside, a device, a broken archive; nothing outside the
                folder is touched.
        """
        ...

    async def snapshot(self) -> Snapshot:
        """Keep the files of the slot as they are now; processes go on.

        Raises:
            UnsupportedError: see `Capabilities.snapshots`.
        """
        ...

    async def restore(self, snapshot: Snapshot) -> None:
        """End every process and go back to a snapshot of this backend. Raises
        SnapshotNotFoundError.
        """
        ...

    async def fork(self, count: int, *, timeout: float = 30.0) -> "tuple[Lease, ...]":
        """Return `count` new leases whose files are as they are here now; all or none."""
        ...

    async def renew(self, seconds: float) -> float:
        """Let the lease live `seconds` from now; return the seconds that hold.

        A lease without a lifetime ends only by `aclose` or with its backend.

        Raises:
            LeaseExpiredError: it ended before.
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

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> Lease:
        """Wait for a free slot, first come first served, and return its lease.

        `lifetime` is in seconds: a lease that isn't renewed within it is closed, its calls then
        raise LeaseExpiredError. `snapshot` gives the files to begin with.

        Raises:
            LeaseTimeoutError: none became free within `timeout` seconds.
            SlotStartError: the slot couldn't be built.
            BackendStateError: not started, closed, or every slot is in quarantine.
        """
        ...

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot; slots that began with it keep their files."""
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
