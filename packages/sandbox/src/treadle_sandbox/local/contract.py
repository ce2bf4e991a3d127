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


def check_argv(argv: Sequence[str]) -> None:
    """Raise InvalidCommandError for an argv that can't mean anything."""
    if isinstance(argv, str) or not argv or not argv[0]:
        raise errors.InvalidCommandError(
            f"argv is {argv!r}: give a list that starts with a program"
        )
    for word in argv:
        if "\0" in word:
            raise errors.InvalidCommandError(
                "an argument holds a NUL character; no program can receive it"
            )


def check_script(script: str) -> bytes:
    """Return shell text as bytes; raise InvalidCommandError when it can't mean anything."""
    if not script.strip():
        raise errors.InvalidCommandError("the script is empty; give at least one command")
    if "\0" in script:
        raise errors.InvalidCommandError("the script holds a NUL character; no shell can read it")
    return script.encode("utf-8", "surrogateescape")


def check_environment(environment: Mapping[str, str]) -> None:
    """Raise InvalidCommandError for variables that can't be passed on."""
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise errors.InvalidCommandError(
                f"environment variable {name!r} can't be passed on; rename it"
            )


def check_bounds(timeout: float, output_limit: int) -> None:
    """Raise InvalidCommandError for a timeout or limit out of range."""
    if not 0 < timeout < _TIMEOUT_MOST:
        raise errors.InvalidCommandError(f"timeout is {timeout!r}: give seconds above 0")
    if not 0 <= output_limit <= _OUTPUT_MOST:
        raise errors.InvalidCommandError(
            f"output_limit is {output_limit!r}: give 0 to {_OUTPUT_MOST} bytes"
        )


def command_error(code: int, what: str) -> errors.SandboxError:
    """Return the error that stands for an error number of a command's request."""
    if code == frames.BAD_WORKDIR:
        return errors.WorkdirError(f"no folder {what!r} in the slot; create it first")
    if code == frames.NO_SHELL:
        return errors.UnsupportedError("no bash on the slot's PATH; sessions and shell need it")
    if code == frames.NO_JOB:
        return errors.JobNotFoundError(f"no job {what!r} in the slot; a reset forgets them")
    if code == frames.CLOSED:
        return errors.SlotFileError(errno.EPIPE, "the job's standard input is closed", what)
    return errors.SlotLostError(f"the slot can't start commands: {os.strerror(code)}")


def file_error(code: int, path: str, limit: int) -> errors.SandboxError:
    """Return the error that stands for an error number of a slot."""
    if code in (errno.ENOENT, errno.ENOTDIR):
        return errors.SlotFileNotFoundError(errno.ENOENT, "no such file in the slot", path)
    if code == frames.NOT_REGULAR:
        return errors.NotRegularFileError(errno.EINVAL, "not a regular file", path)
    if code == frames.TOO_LARGE:
        return errors.FileTooLargeError(errno.EFBIG, f"more than the limit of {limit}", path)
    if code == frames.BAD_ARCHIVE:
        return errors.ArchiveError(
            f"the archive for {path!r} is broken, too large, or holds a name, link or device "
            "that isn't allowed; nothing outside the folder was touched"
        )
    if code == frames.CLOSED:
        return errors.SlotFileError(errno.EIO, "the work on the archive was ended", path)
    if code == frames.OUTSIDE:
        return errors.SlotFileError(errno.EXDEV, "leads out of the slot", path)
    return errors.SlotFileError(code, os.strerror(code), path)
