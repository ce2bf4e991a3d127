"""What a call of the server ends in: a status and a body, whichever route it came by."""

import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from treadle_sandbox import errors, wire

_LOG = logging.getLogger("treadle_sandbox.server")


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer; replays of a call get the same object."""

    status: int
    body: bytes
    kind: str = "application/json"
    """Content type."""
    head: tuple[tuple[str, str], ...] = ()
    """More headers."""


DONE = Answer(204, b"")


def answer_json(value: Any, status: int = 200) -> Answer:
    """Return an answer of JSON."""
    return Answer(status, wire.dump_json(value))


def answer_bytes(data: bytes, **head: str) -> Answer:
    """Return an answer of raw bytes."""
    return Answer(200, data, "application/octet-stream", tuple(head.items()))


def answer_error(error: errors.SandboxError, status: int | None = None, **more: Any) -> Answer:
    """Return the answer that stands for an error."""
    return Answer(status or wire.status_of(error), wire.encode_error(error, **more))


async def guard(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Await an answer; every error becomes one, faults of the server are logged."""
    try:
        return await work
    except errors.SandboxError as error:
        return answer_error(error)
    except Exception as error:  # noqa: BLE001 - the boundary: a fault must not end the server
        _LOG.exception("a call failed")
        return answer_error(errors.ServerError(f"a fault of the server: {error!r}"))
