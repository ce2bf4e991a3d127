"""A pooled JSON-over-HTTP client for one model server.

Retries only what may be retried: 429 (waiting as `Retry-After` asks), 5xx and broken or refused
connections; the last cause is chained to the error. Everything else is reported at once, in the
server's own words. At most `concurrency` requests are on the wire at a time; waiting out a back-off
doesn't hold a place. The session opens on first use and `aclose()` may be called twice. No proxy or
other setting is read from the environment.
"""

import asyncio
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.errors import (
    ContextLengthError,
    ModelRequestError,
    ModelServerError,
    ModelTimeoutError,
)

_CONTEXT_WORDS = re.compile(
    r"context[ _](?:length|window|size)|maximum (?:model|context|input|sequence) length"
    r"|max_model_len|prompt is too long|too many tokens",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How to reach and treat a model server."""

    base_url: str
    """Up to and including `/v1`."""
    api_key: str | None = None
    timeout: float = 600.0
    """Seconds one request may take."""
    connect_timeout: float = 10.0
    attempts: int = 5
    """Tries per request, the first included."""
    backoff: float = 0.5
    """Seconds before the first retry; doubles each time, with jitter, up to 30."""
    concurrency: int = 256
    """Requests on the wire at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStatistics:
    """Counters of one client."""

    requests: int
    """Requests sent, retries included."""
    retries: int
    in_flight: int


class _Retryable(Exception):
    """One failed try that may be repeated after `delay` seconds."""

    def __init__(self, message: str, delay: float | None, cause: BaseException | None) -> None:
        super().__init__(message)
        self.delay = delay
        self.cause = cause


class JsonHttpClient:
    """Sends JSON requests to one server; safe to share between any number of rollouts."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self._base = settings.base_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._gate = asyncio.Semaphore(settings.concurrency)
        self._requests = 0
        self._retries = 0
        self._in_flight = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def statistics(self) -> HttpStatistics:
        """Return the counters so far."""
        return HttpStatistics(
            requests=self._requests, retries=self._retries, in_flight=self._in_flight
        )

    async def get(self, path: str) -> dict[str, Any]:
        """GET a JSON object."""
        return await self._request("GET", path, None)

    async def post(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """POST a JSON object and return the answer.

        Raises:
            ModelServerError: unreachable or failing after all attempts.
            ModelTimeoutError: the request took longer than its limit.
            ContextLengthError: the server says that the prompt is too long.
            ModelRequestError: any other 4xx, in the server's words.
        """
        return await self._request("POST", path, payload)

    async def _request(
        self, method: str, path: str, payload: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        settings = self.settings
        for attempt in range(1, settings.attempts + 1):
            try:
                async with self._gate:
                    return await self._try(method, path, payload)
            except _Retryable as failure:
                if attempt == settings.attempts:
                    raise ModelServerError(
                        f"{method} {self._base}{path} failed after {attempt} attempts: {failure}"
                    ) from failure.cause
                self._retries += 1
                jittered = settings.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
                delay = min(jittered, 30.0) if failure.delay is None else failure.delay
            await asyncio.sleep(delay)
        raise ModelServerError(f"attempts must be at least 1, not {settings.attempts}")

    async def _try(
        self, method: str, path: str, payload: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        self._requests += 1
        self._in_flight += 1
        try:
            async with self._open().request(method, self._base + path, json=payload) as response:
                body = await response.read()
                if response.status >= 400:
                    raise _failure(response, body)
                return _decode(body, path)
        except aiohttp.ConnectionTimeoutError as error:
            raise _Retryable(f"no connection: {error}", None, error) from error
        except TimeoutError as error:
            raise ModelTimeoutError(
                f"{method} {self._base}{path} took longer than {self.settings.timeout:g} seconds"
            ) from error
        except aiohttp.InvalidURL as error:
            raise ModelRequestError(f"{self._base!r} is not a usable base URL") from error
        except aiohttp.ClientError as error:
            raise _Retryable(str(error) or type(error).__name__, None, error) from error
        finally:
            self._in_flight -= 1

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ModelServerError("the client is closed; open a new one")
        if self._session is None:
            key = self.settings.api_key
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(
                    total=self.settings.timeout, sock_connect=self.settings.connect_timeout
                ),
                headers={"Authorization": f"Bearer {key}"} if key else None,
            )
        return self._session


def _decode(body: bytes, path: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError as error:
        text = clip_middle(body.decode(errors="replace"), 200)
        raise ModelServerError(f"{path} answered no JSON but {text!r}") from error
    if not isinstance(answer, dict):
        raise ModelServerError(f"{path} answered a JSON {type(answer).__name__}, not an object")
    return cast("dict[str, Any]", answer)


def _failure(response: aiohttp.ClientResponse, body: bytes) -> Exception:
    status, message = response.status, _server_message(body)
    text = f"HTTP {status}: {message}"
    if status == 429:
        return _Retryable(text, _retry_after(response.headers.get("Retry-After")), None)
    if status >= 500 and status != 501:
        return _Retryable(text, None, None)
    if status in (400, 413, 422) and _CONTEXT_WORDS.search(message):
        return ContextLengthError(text)
    return ModelRequestError(
        f"{response.method} {response.url.path} was refused: {text}", status=status
    )


def _server_message(body: bytes) -> str:
    """Find the human words in an error body: OpenAI's, vLLM's and FastAPI's shapes, or the raw
    text.
    """
    text = body.decode(errors="replace").strip()
    try:
        answer: Any = json.loads(text)
    except ValueError:
        return clip_middle(text, 500) or "(empty answer)"
    for key in ("error", "message", "detail"):
        if isinstance(answer, dict) and key in answer:
            answer = cast("dict[str, Any]", answer)[key]
    return clip_middle(answer if isinstance(answer, str) else json.dumps(answer), 500)


def _retry_after(value: str | None) -> float | None:
    """Read `Retry-After` in seconds; dates are rare there and fall back to the usual delay."""
    try:
        return min(max(float(value), 0.0), 120.0) if value is not None else None
    except ValueError:
        return None
