"""What can go wrong with a sandbox, as types.

    SandboxError
    |-- IsolationUnavailableError (RuntimeError)   the machine can't isolate as was asked for
    |-- BackendStateError (RuntimeError)           not started yet, or closed
    |-- LeaseTimeoutError (TimeoutError)           no slot became free in time
    |-- SlotStartError (RuntimeError)              a slot can't be built, or isn't as asked for
    |-- SlotLostError (ConnectionError)            the slot died or stopped answering
    |-- LeaseClosedError (RuntimeError)            used after `aclose`
    |-- LeaseExpiredError (RuntimeError)           not renewed in time, or epoch is stale
    |-- ServerError (ConnectionError)              a sandbox server can't be reached or misbehaves
    |-- ServerStartError (RuntimeError)            a sandbox server can't be started
    |-- UnauthorizedError (PermissionError)        a sandbox server refuses the token
    |-- UnsupportedError (NotImplementedError)     this backend or level can't do that
    |-- JobNotFoundError (LookupError)             no such background job in the slot
    |-- SnapshotNotFoundError (LookupError)        no such snapshot, or it was discarded
    |-- ArchiveError (ValueError)                  an archive that is broken or leads outside
    |-- ConfigError (ValueError)                   a setting that is unknown or contradicts another
    |-- InvalidCommandError (ValueError)           an argv, path or timeout that means nothing
    |-- WorkdirError (NotADirectoryError)          the working directory isn't there
    |-- SlotFileNotFoundError (FileNotFoundError)
    |-- SlotFileError (OSError)                    refused: permissions, no room, a link out
    |-- NotRegularFileError (OSError)              a folder, pipe, device, or a file of /proc
    `-- FileTooLargeError (OSError)                larger than the limit of the call

An exit code, a timeout of a command, cut output and a command that isn't found are results, not
errors.
"""


class SandboxError(Exception):
    """Root of every error of this package."""


class IsolationUnavailableError(SandboxError, RuntimeError):
    """The machine can't give the isolation that was asked for."""


class BackendStateError(SandboxError, RuntimeError):
    """The backend isn't started yet, or is closed."""


class LeaseTimeoutError(SandboxError, TimeoutError):
    """No slot became free in time."""


class SlotStartError(SandboxError, RuntimeError):
    """A slot couldn't be built, or isn't isolated as asked."""


class SlotLostError(SandboxError, ConnectionError):
    """The slot died or stopped answering; the rollout that used it can't go on."""


class LeaseClosedError(SandboxError, RuntimeError):
    """The lease was used after `aclose`."""


class LeaseExpiredError(SandboxError, RuntimeError):
    """The lease wasn't renewed in time, or another epoch owns its slot now."""


class ServerError(SandboxError, ConnectionError):
    """A sandbox server can't be reached, or answered something that isn't its protocol."""


class ServerStartError(SandboxError, RuntimeError):
    """A sandbox server couldn't be started, or didn't become ready."""


class UnauthorizedError(SandboxError, PermissionError):
    """A sandbox server refused the token."""


class UnsupportedError(SandboxError, NotImplementedError):
    """This backend, level or image can't do what was asked."""


class JobNotFoundError(SandboxError, LookupError):
    """No such background job in the slot."""


class SnapshotNotFoundError(SandboxError, LookupError):
    """No such snapshot; it was discarded, or belongs to another backend."""


class ArchiveError(SandboxError, ValueError):
    """An archive that is broken, too large, or holds names that lead outside."""


class ConfigError(SandboxError, ValueError):
    """A setting that is unknown, has a wrong value, or contradicts another one."""


class InvalidCommandError(SandboxError, ValueError):
    """An argv, environment, path or timeout that can't mean anything."""


class WorkdirError(SandboxError, NotADirectoryError):
    """The working directory of a command isn't there."""


class SlotFileNotFoundError(SandboxError, FileNotFoundError):
    """No such file in the slot."""


class SlotFileError(SandboxError, OSError):
    """The slot refused a file operation."""


class NotRegularFileError(SandboxError, OSError):
    """The path names something that isn't a regular file."""


class FileTooLargeError(SandboxError, OSError):
    """The file is larger than the limit of the call."""
