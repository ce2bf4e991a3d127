"""The wire between the host and a slot: requests towards the slot, replies towards the host.

A request is a 4-byte length and a `marshal` dictionary; the slot trusts the host. A reply is a
fixed header of numbers and two byte strings, because the host must not trust a slot with anything
richer.
"""

import marshal
import struct
from typing import Any

REPLY = struct.Struct("!QiiIQQQII")
"""id, error number, exit code, flags, stdout bytes, stderr bytes, microseconds, length, length."""
LENGTH = struct.Struct("!I")

TIMED_OUT, TRUNCATED, UNFIT, OUT_OF_MEMORY, RESTARTED, ENDED = 1, 2, 4, 8, 16, 32
"""Reply flags: the timeout killed it; output was cut; the slot can't vouch for what is left in it;
the memory limit of the slot killed a process; the session had lost its shell before;
the job has ended.
"""

NOT_REGULAR, TOO_LARGE, OUTSIDE, BAD_NAME, BAD_WORKDIR = 10_001, 10_002, 10_003, 10_004, 10_005
NO_JOB, NO_SHELL, BAD_ARCHIVE, CLOSED = 10_006, 10_007, 10_008, 10_009
"""Error numbers of ours, above every errno."""


def encode_request(request: "dict[str, Any]") -> bytes:
    """Return one request as bytes."""
    body = marshal.dumps(request)
    return LENGTH.pack(len(body)) + body


class RequestReader:
    """Cuts a byte stream into requests."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> "list[dict[str, Any]]":
        """Return the requests that `data` completes."""
        self._buffer += data
        requests: list[dict[str, Any]] = []
        while len(self._buffer) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            requests.append(marshal.loads(bytes(self._buffer[LENGTH.size : end])))
            del self._buffer[:end]
        return requests


def encode_reply(
    number: int,
    *,
    error: int = 0,
    exit_code: int = 0,
    flags: int = 0,
    totals: "tuple[int, int]" = (0, 0),
    microseconds: int = 0,
    first: bytes = b"",
    second: bytes = b"",
) -> bytes:
    """Return one reply as bytes."""
    numbers = (number, error, exit_code, flags, *totals, microseconds, len(first), len(second))
    return REPLY.pack(*numbers) + first + second
