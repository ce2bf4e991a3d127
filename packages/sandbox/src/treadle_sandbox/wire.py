"""What a sandbox server and its client say to each other, as bytes.

Commands and their results are one line of JSON followed by raw bytes: standard input in a command,
standard output and standard error in a result, whose lengths the line names. Nothing is decoded, so
every byte arrives as it was written. Errors are JSON, `{"error": {"type": ..., "message": ...}}`;
`type` is the name of a class of `treadle_sandbox.errors`, and the client raises that class. Strings
that are no text (file names, arguments) travel as lone surrogates in JSON escapes.
"""

import errno
import json
from collections.abc import Mapping
from typing import Any

from treadle_sandbox import errors
from treadle_sandbox.records import ExecResult, Isolation

COMMAND_TYPE = "application/vnd.treadle.command"
"""Content type of a command."""
RESULT_TYPE = "application/vnd.treadle.result"
"""Content type of a result."""
EPOCH = "treadle-epoch"
"""Header that names the epoch of the lease that the caller holds."""
KEY = "idempotency-key"
"""Header that names a call: the same name is carried out once."""

STATUS: Mapping[type[errors.SandboxError], int] = {
    errors.IsolationUnavailableError: 503,
    errors.BackendStateError: 503,
    errors.LeaseTimeoutError: 503,
    errors.SlotStartError: 500,
    errors.SlotLostError: 502,
    errors.LeaseClosedError: 404,
    errors.LeaseExpiredError: 409,
    errors.ServerError: 500,
    errors.ServerStartError: 500,
    errors.UnauthorizedError: 403,
    errors.UnsupportedError: 501,
    errors.JobNotFoundError: 404,
    errors.SnapshotNotFoundError: 404,
    errors.ArchiveError: 400,
    errors.ConfigError: 400,
    errors.InvalidCommandError: 400,
    errors.WorkdirError: 409,
    errors.SlotFileNotFoundError: 404,
    errors.SlotFileError: 403,
    errors.NotRegularFileError: 400,
    errors.FileTooLargeError: 413,
}
"""The HTTP status of every error."""

_TYPES = {kind.__name__: kind for kind in STATUS}
_FIELDS = (
    "exit_code",
    "timed_out",
    "truncated",
    "stdout_bytes",
    "stderr_bytes",
    "seconds",
    "out_of_memory",
)
_dump = json.JSONEncoder(separators=(",", ":")).encode


def dump_json(value: Any) -> bytes:
    """Return JSON as ASCII bytes, whatever its strings hold."""
    return _dump(value).encode("ascii")


def encode_command(fields: Mapping[str, Any], stdin: bytes = b"") -> bytes:
    """Return the body of a command."""
    return b"%b\n%b" % (_dump(fields).encode("ascii"), stdin)


def encode_result(result: ExecResult, *, restarts: int | None = None) -> bytes:
    """Return the body of a result; `restarts` is that of its session."""
    line: dict[str, Any] = {
        "exit_code": result.exit_code,
        "timed_out": result.timed_out,
        "truncated": result.truncated,
        "stdout_bytes": result.stdout_bytes,
        "stderr_bytes": result.stderr_bytes,
        "seconds": result.seconds,
        "out_of_memory": result.out_of_memory,
        "isolation": result.isolation,
        "lengths": (len(result.stdout), len(result.stderr)),
    }
    if restarts is not None:
        line["restarts"] = restarts
    return b"%b\n%b%b" % (_dump(line).encode("ascii"), result.stdout, result.stderr)


def decode_result(body: bytes) -> tuple[ExecResult, int]:
    """Return a result and the restarts of its session.

    Raises:
        ServerError: the body isn't a result.
    """
    try:
        end = body.index(b"\n") + 1
        line = json.loads(body[:end])
        first, second = line["lengths"]
        if len(body) != end + first + second:
            raise ValueError(f"{len(body) - end} bytes of output, {first + second} announced")
        result = ExecResult(
            stdout=body[end : end + first],
            stderr=body[end + first :],
            isolation=Isolation(line["isolation"]),
            **{name: line[name] for name in _FIELDS},
        )
        return result, line.get("restarts", 0)
    except (ValueError, KeyError, TypeError) as error:
        raise errors.ServerError(f"the server sent no result of a command: {error}") from error


def encode_error(error: errors.SandboxError, **more: Any) -> bytes:
    """Return the body that stands for an error; `more` are fields for people and programs."""
    kind = next((k for k in type(error).__mro__ if k in STATUS), errors.ServerError)
    said: dict[str, Any] = {"type": kind.__name__, "message": str(error), **more}
    if isinstance(error, OSError) and error.errno is not None:
        said |= {"errno": error.errno, "message": error.strerror, "path": error.filename}
    return dump_json({"error": said})


def decode_error(status: int, body: bytes) -> errors.SandboxError:
    """Return the error that a body stands for; ServerError for one that isn't of the protocol."""
    try:
        said = json.loads(body)["error"]
        kind = _TYPES[said["type"]]
        if "errno" in said:
            return kind(int(said["errno"]), str(said["message"]), said["path"])
        return kind(str(said["message"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        shown = body[:200].decode("utf-8", "replace")
        return errors.ServerError(f"the server answered {status}: {shown!r}")


def status_of(error: errors.SandboxError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, errors.SlotFileError) and error.errno == errno.ENOSPC:
        return 507
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
