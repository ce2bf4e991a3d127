"""A pooled JSON-over-HTTP client for one model server.

Retries only what may be retried: 429 (waiting as `Retry-After` asks), 5xx, and connections that
were refused or broke; sampling has no side effects, so an answer that broke off is asked for again.
The last cause is chained to the error. Everything else is reported at once, in the server's own
words. An `AdaptiveLimit` bounds the requests on the wire for all rollouts together and gives way to
an overloaded server; waiting out a back-off doesn't hold a place. The session opens on first use
and `aclose()` may be called twice. No proxy or other setting is read from the environment.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from treadle_agent_loop.closing import Closing
from treadle_agent_loop.errors import ModelRequestError, ModelServerError, ModelTimeoutError
from treadle_agent_loop.events import EventStream, read_events
from treadle_agent_loop.limits import AdaptiveLimit
from treadle_agent_loop.replies import RetryableError, failure_of, read_object

Answer = TypeVar("Answer")


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
    """Tries per request, the first included; three times as many where the answer is 429."""
    backoff: float = 0.5
    """Seconds before the first retry; doubles each time, with jitter, up to 30."""
    concurrency: int = 256
    """Requests on the wire at a time, at most; fewer while the server is overloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStatistics:
    """Counters of one client."""

    requests: int
    """Requests sent, retries included."""
    retries: int
    in_flight: int
    overloads: int = 0
    """Answers that said the server has too much to do (429, 503, 529)."""
    allowed: int = 0
    """Requests that may be on the wire at present."""


class JsonHttpClient(Closing):
    """Sends JSON requests to one server; safe to share between any number of rollouts."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self._base = settings.base_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._limit = AdaptiveLimit(settings.concurrency)
        self._requests = 0
        self._retries = 0
        self._overloads = 0
        self._closed = False

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def statistics(self) -> HttpStatistics:
        """Return the counters so far."""
        return HttpStatistics(
            requests=self._requests,
            retries=self._retries,
            in_flight=self._limit.active,
            overloads=self._overloads,
            allowed=self._limit.allowed,
        )

    async def get(self, path: str) -> dict[str, Any]:
        """GET a JSON object."""
        return await self._request("GET", self._base + path, None, _read_object)

    async def post(
        self, path: str, payload: Mapping[str, Any], *, at_root: bool = False
    ) -> dict[str, Any]:
        """POST a JSON object and return the answer; `at_root` leaves the base URL's `/v1` out.

        Raises:
            ModelServerError: unreachable or failing after all attempts.
            ModelTimeoutError: the request took longer than its limit.
            ContextLengthError: the server says that the prompt is too long.
            ModelRequestError: any other 4xx, in the server's words.
        """
        base = self._base.removesuffix("/v1") if at_root else self._base
        return await self._request("POST", base + path, payload, _read_object)

    async def post_for_events(self, path: str, payload: Mapping[str, Any]) -> EventStream:
        """POST a JSON object and return the server-sent events of the answer, once it has ended.

        Raises as `post` does.
        """
        return await self._request("POST", self._base + path, payload, read_events)

    async def _request(
        self,
        method: str,
        url: str,
        payload: Mapping[str, Any] | None,
        read: "Callable[[aiohttp.ClientResponse], Awaitable[Answer]]",
    ) -> Answer:
        settings = self.settings
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._try(method, url, payload, read)
            except RetryableError as failure:
                limit = settings.attempts * (3 if failure.status == 429 else 1)
                if attempt >= limit:
                    raise ModelServerError(
                        f"{method} {url} failed after {attempt} attempts: {failure}",
                        status=failure.status,
                    ) from failure.cause
                self._retries += 1
                delay = _delay(settings.backoff, attempt, failure.pause)
            await asyncio.sleep(delay)

    async def _try(
        self,
        method: str,
        url: str,
        payload: Mapping[str, Any] | None,
        read: "Callable[[aiohttp.ClientResponse], Awaitable[Answer]]",
    ) -> Answer:
        epoch = await self._limit.acquire()
        try:
            answer = await self._send(method, url, payload, read)
        except RetryableError as failure:
            if failure.overloaded:
                self._overloads += 1
                self._limit.overloaded(epoch, failure.pause)
            raise
        else:
            self._limit.succeeded()
            return answer
        finally:
            self._limit.release()

    async def _send(
        self,
        method: str,
        url: str,
        payload: Mapping[str, Any] | None,
        read: "Callable[[aiohttp.ClientResponse], Awaitable[Answer]]",
    ) -> Answer:
        session = self._open()
        self._requests += 1
        try:
            async with session.request(method, url, json=payload) as response:
                if response.status >= 400:
                    what = f"{method} {response.url.path}"
                    body = await response.read()
                    raise failure_of(response.status, response.headers, body, what)
                return await read(response)
        except aiohttp.ConnectionTimeoutError as error:
            raise RetryableError(f"no connection: {error}", cause=error) from error
        except TimeoutError as error:
            raise ModelTimeoutError(
                f"{method} {url} took longer than {self.settings.timeout:g} seconds"
            ) from error
        except aiohttp.InvalidURL as error:
            raise ModelRequestError(f"{self._base!r} is not a usable base URL") from error
        except aiohttp.ClientError as error:
            raise RetryableError(str(error) or type(error).__name__, cause=error) from error

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


def _delay(backoff: float, attempt: int, pause: float | None) -> float:
    """Return the seconds before the next try; at least a moment where the server said "at once"."""
    jittered = min(backoff * 2 ** min(attempt - 1, 10) * random.uniform(0.5, 1.0), 30.0)
    return jittered if pause is None else max(pause, min(jittered, 1.0))


async def _read_object(response: aiohttp.ClientResponse) -> dict[str, Any]:
    return read_object(await response.read(), response.url.path)
