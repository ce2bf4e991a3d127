"""What a sandbox takes and gives, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Isolation(StrEnum):
    """How strongly a slot is separated from the host, weakest first; members compare by
    strength.
    """

    PROCESS = "process"
    """Plain processes with resource limits and a folder of their own. No boundary: they see the
    host's files, processes and network with the rights of this user.
    """
    NAMESPACES = "namespaces"
    """Namespaces, a minimal root, a system call filter, commands without capabilities; built by a
    keeper of this package, and tried first: it alone has snapshots and several users.
    """
    BUBBLEWRAP = "bubblewrap"
    """The same, built by bubblewrap, for one user."""

    @property
    def strength(self) -> int:
        """Rank among the levels, from 0."""
        return list(Isolation).index(self)

    def __lt__(self, other: str) -> bool:
        return self.strength < Isolation(other).strength

    def __le__(self, other: str) -> bool:
        return self.strength <= Isolation(other).strength

    def __gt__(self, other: str) -> bool:
        return self.strength > Isolation(other).strength

    def __ge__(self, other: str) -> bool:
        return self.strength >= Isolation(other).strength


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of a slot. Those of a process hold for each process, not for their sum."""

    memory_bytes: int = 2 << 30
    """Address space of a process."""
    processes: int = 128
    """Processes and threads of a slot at one time. Not set at the `process` level, where the system
    counts all processes of the user.
    """
    open_files: int = 512
    """Descriptors of a process."""
    file_bytes: int = 256 << 20
    """Size of one file that a process writes."""
    cpu_seconds: int = 600
    """Processor time of a process."""
    disk_bytes: int = 256 << 20
    """Room of all files of a slot together, in memory; at the `bubblewrap` level of the working
    directory, and again of /tmp and of /dev/shm. Not set at the `process` level.
    """
    disk_files: int = 50_000
    """Files and folders of a slot. Set at the `namespaces` level alone."""
    slot_memory_bytes: int | None = None
    """Memory of all processes of a slot together, its files in memory included. Needs a control
    group.
    """
    slot_cpus: float | None = None
    """Processors' worth of time of a slot, for example 0.5. Needs a control group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a started backend really gives."""

    backend: str
    """Name of the backend, for example `local`."""
    isolation: Isolation
    """The level that was probed by running it, and that holds for every slot."""
    slots: int
    network: bool
    """Whether commands reach the host's network, its loopback included."""
    separate_user: bool
    """Whether each slot has a user id of its own on the host."""
    limits: Limits
    unlimited: tuple[str, ...]
    """Names of the fields of `limits` that don't hold at this level."""
    allowed: tuple[str, ...] = ()
    """What commands may reach where `network` is false: `host:port`."""
    control_groups: str = "none"
    """The driver that bounds whole slots: `none`, `v1`, `hybrid` or `v2`."""
    snapshots: bool = False
    """Whether `snapshot`, `restore` and `fork` work."""
    root_inside: bool = False
    """Whether commands may run as root of the slot, which is nobody outside."""
    verifier_user: bool = False
    """Whether `Privilege.VERIFIER` runs under a user id that other commands don't have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What one finished command left."""

    exit_code: int
    """Exit status; 128 + n for signal n; 124 for a timeout; 126 and 127 when the command can't be
    run or found.
    """
    stdout: bytes
    """Standard output. When it was cut: its head and tail around a line with the number of missing
    bytes.
    """
    stderr: bytes
    """Standard error, in the same way."""
    timed_out: bool
    """Whether the timeout ended it and everything below it; the output up to then is kept."""
    truncated: bool
    """Whether a stream was longer than `output_limit`."""
    stdout_bytes: int
    """How much was written to standard output in all."""
    stderr_bytes: int
    """How much was written to standard error in all."""
    seconds: float
    """Time from start to end, measured in the slot."""
    isolation: Isolation
    """The level the command ran under."""
    out_of_memory: bool = False
    """Whether the memory limit of the slot killed a process while it ran."""


class Privilege(StrEnum):
    """Who a command runs as."""

    USER = "user"
    """The slot's ordinary user."""
    VERIFIER = "verifier"
    """A second user, for commands that decide a reward: no process of the ordinary user can reach
    its pipes or memory. It reads and writes all files of the workspace.
    """
    ROOT = "root"
    """Root of the slot's own id range: installs packages, and is nobody outside the slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChunk:
    """A piece of what a running command wrote."""

    stream: str
    """`stdout` or `stderr`."""
    offset: int
    """Where the piece begins, in bytes of the whole stream. A gap to the end of the piece before
    means that the slot had to drop what lay between.
    """
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What is known of a background job."""

    id: str
    running: bool
    exit_code: int | None
    """As in `ExecResult`; `None` while it runs."""
    timed_out: bool
    stdout_bytes: int
    """How much was written to standard output so far."""
    stderr_bytes: int
    seconds: float
    """Time since its start, or up to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The files of a slot at one moment. It lives as long as its backend, or until discarded."""

    id: str
    bytes: int
    """Bytes of the files it holds, without those of the snapshot that its slot began with."""
    files: int
    """Number of those files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A regular file of a slot."""

    path: str
    """Relative to the folder that was listed."""
    size: int
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The state of a backend and its counters since it started."""

    slots: int
    leased: int
    waiting: int
    """Callers of `lease` that wait for a slot."""
    quarantined: int
    """Slots out of use because something of a former lease may be left in them."""
    leases: int
    execs: int
    running: int
    """Commands that run now."""
    timeouts: int
    failures: Mapping[str, int]
    """Infrastructure failures by the name of their error."""
    servers: Mapping[str, int] = field(default_factory=dict[str, int])
    """Sandbox servers by state; empty where the backend has none."""
    created: int = 0
    """Servers that were created and became ready."""
    adopted: int = 0
    """Servers of another driver that were taken over."""
    removed: int = 0
    start_failures: int = 0
    """Servers that didn't become ready."""
    waited_seconds: float = 0.0
    """Time that callers of `lease` waited, in all."""
    longest_wait: float = 0.0
