"""What can go wrong with a sandbox, as types.

    SandboxError
    |-- IsolationUnavailableError (RuntimeError)   the machine can't isolate as was asked for
    |-- BackendStateError (RuntimeError)           not started yet, or closed
    |-- LeaseTimeoutError (TimeoutError)           no slot became free in time
    |-- SlotStartError (RuntimeError)              a slot can't be built, or isn't as asked for
    |-- SlotLostError (ConnectionError)            the slot died or stopped answering
    |-- LeaseClosedError (RuntimeError)            used after `aclose`
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
