"""Our client of the trajectory API: one pooled session, and no failure without an error.

Connection errors, timeouts and 5xx answers are tried again with growing pauses for `patience`
seconds; a 4xx is an error at once, with the API's own words. Nothing of atroposlib is imported.
"""

import asyncio
import gzip
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from treadle_envs.errors import TrajectoryApiError

logger = logging.getLogger(__name__)

_COMPRESS_FROM = 1024
_LONGEST_PAUSE = 5.0
_REMIND_EVERY = 30.0
_REQUEST_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What the API answered to a new environment."""

    env_id: int
    name: str
    checkpoint_dir: str
    checkpoint_interval: int
    starting_step: int
    num_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInfo:
    """What the trainer asked for; -1 where it didn't say."""

    batch_size: int
    max_token_len: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """The state of the queue as one environment sees it; sizes in groups."""

    current_step: int
    queue_size: int
    self_queue_size: int
    unallocated_fraction: float


class TrajectoryClient:
    """An async context manager around one HTTP session. `patience` in seconds."""

    def __init__(self, url: str, *, patience: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT)
        self._session = aiohttp.ClientSession(timeout=timeout)
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
        if self._session is not None:
            await self._session.close()

    async def register(
        self,
        *,
        name: str,
        group_size: int,
        max_token_length: int,
        weight: float,
        min_batch_allocation: float | None,
    ) -> Registration:
        """Register an environment; waits, for as long as it takes, until a trainer has started.

        Raises:
            TrajectoryApiError: the API can't be reached or refuses.
        """
        body = {
            "max_token_length": max_token_length,
            "desired_name": name,
            "weight": weight,
            "min_batch_allocation": min_batch_allocation,
            "group_size": group_size,
        }
        reminded = float("-inf")
        pause = 0.1
        while True:
            answer = await self._request("POST", "/register-env", body)
            if answer.get("status") == "success":
                return _registration(answer)
            if time.monotonic() - reminded > _REMIND_EVERY:
                reminded = time.monotonic()
                logger.info("waiting for a trainer to register at %s", self.url)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    async def info(self) -> BatchInfo:
        """Return the trainer's batch size and length limit."""
        answer = await self._request("GET", "/info")
        return BatchInfo(
            batch_size=int(answer["batch_size"]), max_token_len=int(answer["max_token_len"])
        )

    async def status(self, env_id: int) -> QueueStatus:
        """Return the queue's state for one environment.

        Raises:
            TrajectoryApiError: with status 500 at once when the API doesn't know the environment
                (it was restarted).
        """
        answer = await self._request(
            "GET", "/status-env", {"env_id": env_id}, retry_server_errors=False
        )
        return QueueStatus(
            current_step=int(answer["current_step"]),
            queue_size=int(answer["queue_size"]),
            self_queue_size=int(answer.get("self_queue_size", 0)),
            unallocated_fraction=float(answer.get("unallocated_fraction", 1.0)),
        )

    async def send(self, payload: Mapping[str, Any], *, env_id: int) -> str:
        """Send one scored group; returns `received`, or `buffered` when the API holds it back.

        Raises:
            TrajectoryApiError: it was refused (`refused` is true), or nobody took it in time.
        """
        answer = await self._request("POST", "/scored_data", {**payload, "env_id": env_id})
        return str(answer.get("status", "received"))

    async def disconnect(self, env_id: int) -> None:
        """Say that the environment is done."""
        await self._request("POST", "/disconnect-env", {"env_id": env_id})

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        retry_server_errors: bool = True,
    ) -> dict[str, Any]:
        data, headers = b"", {"Content-Type": "application/json"}
        if body is not None:
            data = await asyncio.to_thread(_encode, body)
            if len(data) >= _COMPRESS_FROM and method == "POST":
                data = await asyncio.to_thread(gzip.compress, data, 1)
                headers["Content-Encoding"] = "gzip"
        deadline = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                return await self._once(method, path, data, headers)
            except TrajectoryApiError as error:
                final = error.refused or not (retry_server_errors or error.status is None)
                if final or time.monotonic() + pause > deadline:
                    raise
                logger.warning("%s; trying again in %.1f s", error, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _once(
        self, method: str, path: str, data: bytes, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        assert self._session is not None, "enter the client before using it"
        where = f"{method} {self.url}{path}"
        try:
            async with self._session.request(
                method, self.url + path, data=data or None, headers=headers
            ) as response:
                text = await response.text()
                if response.status >= 400:
                    raise TrajectoryApiError(
                        f"the trajectory API answered {response.status} to {where}: {text[:500]}",
                        status=response.status,
                    )
                return json.loads(text)
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError) as error:
            reason = str(error) or type(error).__name__
            raise TrajectoryApiError(
                f"the trajectory API can't be used ({where}: {reason}): start it with `run-api`, "
                "or give its URL with --env.rollout_server_url"
            ) from error


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _registration(answer: Mapping[str, Any]) -> Registration:
    return Registration(
        env_id=int(answer["env_id"]),
        name=str(answer["wandb_name"]),
        checkpoint_dir=str(answer["checkpoint_dir"]),
        checkpoint_interval=int(answer["checkpoint_interval"]),
        starting_step=int(answer["starting_step"]),
        num_steps=int(answer["num_steps"]),
    )
