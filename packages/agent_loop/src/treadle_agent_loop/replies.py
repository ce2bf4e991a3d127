"""What a model server's HTTP answer means: JSON, a stream of events, or a failure of some kind."""

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.errors import (
    AgentLoopError,
    ContextLengthError,
    ModelRequestError,
    ModelServerError,
)

_CONTEXT_WORDS = re.compile(
    r"context[ _](?:length|window|size)|maximum (?:model|context|input|sequence) length"
    r"|max_model_len|prompt is too long|too many tokens",
    re.IGNORECASE,
)
_OVERLOADED = frozenset({429, 503, 529})
_PAUSE_LIMIT = 120.0
"""Seconds that a server can ask us to wait."""


class RetryableError(Exception):
    """One failed try that may be repeated; never leaves the HTTP client."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        pause: float | None = None,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.pause = pause
        """Seconds after which the server wants to be asked again."""
        self.cause = cause

    @property
    def overloaded(self) -> bool:
        """Whether the server has too much to do, rather than being broken."""
        return self.status in _OVERLOADED


def read_object(body: bytes, path: str) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Raises:
        ModelServerError: it is none.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        text = clip_middle(body.decode(errors="replace"), 200)
        raise ModelServerError(f"{path} answered no JSON but {text!r}", answered=True) from error
    if not isinstance(answer, dict):
        raise ModelServerError(
            f"{path} answered a JSON {type(answer).__name__}, not an object", answered=True
        )
    return cast("dict[str, Any]", answer)


@contextmanager
def reading(what: str) -> Generator[None]:
    """Read an answer: whatever its shape does to the code that reads it is the server's failure.

    Raises:
        ModelServerError: a field is of another kind than the API says.
    """
    try:
        yield
    except AgentLoopError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelServerError(
            f"{what} answered JSON of another shape: {error}", answered=True
        ) from error


def refusal_of(status: int, message: str) -> AgentLoopError:
    """Return the error that a refused request stands for, by its status and words."""
    if status in (400, 413, 422) and _CONTEXT_WORDS.search(message):
        return ContextLengthError(message)
    return ModelRequestError(message, status=status)


def failure_of(status: int, headers: Mapping[str, str], body: bytes, what: str) -> Exception:
    """Return the error that an answer with a status of 400 or more stands for."""
    message, code = _words(body)
    text = f"HTTP {status}: {message}"
    if status == 429 and code == "insufficient_quota":  # OpenAI's: waiting doesn't help
        return ModelRequestError(f"{what} was refused: {text}", status=status)
    if status == 429 or (status >= 500 and status != 501):
        return RetryableError(text, status=status, pause=retry_after(headers.get("Retry-After")))
    return refusal_of(status, f"{what} was refused: {text}")


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header, given as a number or as a date (RFC 9110)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        moment = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(seconds, _PAUSE_LIMIT) if seconds > 0 else 0.0


def _words(body: bytes) -> tuple[str, str | None]:
    """Find the human words in an error body, and its code: the shapes of OpenAI, vLLM, SGLang and
    FastAPI, or the raw text.
    """
    text = body.decode(errors="replace").strip()
    try:
        answer: Any = json.loads(text)
    except (ValueError, RecursionError):
        return clip_middle(text, 500) or "(empty answer)", None
    code: Any = None
    for key in ("error", "message", "detail"):
        if isinstance(answer, dict) and key in answer:
            code = cast("dict[str, Any]", answer).get("code", code)
            answer = cast("dict[str, Any]", answer)[key]
    words = clip_middle(answer if isinstance(answer, str) else json.dumps(answer), 500)
    return words, code if isinstance(code, str) else None
