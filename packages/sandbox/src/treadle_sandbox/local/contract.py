"""The words of the lease's contract: which commands are accepted, which limits hold, which error is
which.
"""

import errno
import os
from collections.abc import Mapping, Sequence

from treadle_sandbox import errors
from treadle_sandbox.records import Isolation, Limits
from treadle_sandbox.slot import frames

_TIMEOUT_MOST = 10_000_000.0
_OUTPUT_MOST = 200_000_000


def resource_limits(limits: Limits, isolation: Isolation) -> dict[str, int]:
    """Return the limits of one process by the names of `resource`."""
    values = {
        "RLIMIT_CORE": 0,
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_CPU": limits.cpu_seconds,
    }
    if isolation is not Isolation.PROCESS:
        values["RLIMIT_NPROC"] = limits.processes
    return values


def check_command(
    argv: Sequence[str], environment: Mapping[str, str], *, timeout: float, output_limit: int
) -> None:
    """Raise InvalidCommandError for a command that can't mean anything."""
    if isinstance(argv, str) or not argv or not argv[0]:
        raise errors.InvalidCommandError(
            f"argv is {argv!r}: give a list that starts with a program"
        )
    if any("\0" in word for word in argv):
        raise errors.InvalidCommandError(
            "an argument holds a NUL character; no program can receive it"
        )
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise errors.InvalidCommandError(
                f"environment variable {name!r} can't be passed on; rename it"
            )
    if not 0 < timeout < _TIMEOUT_MOST:
        raise errors.InvalidCommandError(f"timeout is {timeout!r}: give seconds above 0")
    if not 0 <= output_limit <= _OUTPUT_MOST:
        raise errors.InvalidCommandError(
            f"output_limit is {output_limit!r}: give 0 to {_OUTPUT_MOST} bytes"
        )


def file_error(code: int, path: str, limit: int) -> errors.SandboxError:
    """Return the error that stands for an error number of a slot."""
    if code in (errno.ENOENT, errno.ENOTDIR):
        return errors.SlotFileNotFoundError(errno.ENOENT, "no such file in the slot", path)
    if code == frames.NOT_REGULAR:
        return errors.NotRegularFileError(errno.EINVAL, "not a regular file", path)
    if code == frames.TOO_LARGE:
        return errors.FileTooLargeError(errno.EFBIG, f"more than the limit of {limit}", path)
    if code == frames.OUTSIDE:
        return errors.SlotFileError(errno.EXDEV, "leads out of the slot", path)
    return errors.SlotFileError(code, os.strerror(code), path)
