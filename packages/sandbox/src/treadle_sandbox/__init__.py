"""Sandboxes for agent rollouts: isolated workspaces behind one async interface."""

from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.errors import (
    BackendStateError,
    FileTooLargeError,
    InvalidCommandError,
    IsolationUnavailableError,
    LeaseClosedError,
    LeaseTimeoutError,
    NotRegularFileError,
    SandboxError,
    SlotFileError,
    SlotFileNotFoundError,
    SlotLostError,
    SlotStartError,
    WorkdirError,
)
from treadle_sandbox.local import LocalBackend
from treadle_sandbox.records import (
    Capabilities,
    ExecResult,
    FileEntry,
    Isolation,
    Limits,
    Statistics,
)

__all__ = [
    "Backend",
    "BackendStateError",
    "Capabilities",
    "ExecResult",
    "FileEntry",
    "FileTooLargeError",
    "InvalidCommandError",
    "Isolation",
    "IsolationUnavailableError",
    "Lease",
    "LeaseClosedError",
    "LeaseTimeoutError",
    "Limits",
    "LocalBackend",
    "NotRegularFileError",
    "SandboxError",
    "SlotFileError",
    "SlotFileNotFoundError",
    "SlotLostError",
    "SlotStartError",
    "Statistics",
    "WorkdirError",
]
