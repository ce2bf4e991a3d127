"""The local batch consumer: stands in for a trainer on the trajectory API.

It speaks the trainer's own endpoints (`POST /register`, `GET /batch`), so that what it writes to
`groups.jsonl` is what a trainer would have received: nothing is taken from the environment's
memory.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from treadle_envs.errors import TrajectoryApiError

Group = dict[str, Any]
"""One scored group in atroposlib's form: `tokens`, `masks`, `scores`, `inference_logprobs`, ..."""

_POLL_SECONDS = 0.1


class BatchConsumer:
    """Takes batches from the trajectory API and appends their groups to a file."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        api_url: str,
        *,
        path: Path,
        batch_size: int,
        max_token_length: int,
        on_group: Callable[[Group], None],
    ) -> None:
        self._http = http
        self._api_url = api_url.rstrip("/")
        self._path = path
        self._batch_size = batch_size
        self._max_token_length = max_token_length
        self._on_group = on_group

    async def register(self) -> None:
        """Register as the trainer and open the API for environments."""
        body = {
            "wandb_group": "local",
            "wandb_project": "local",
            "batch_size": self._batch_size,
            "max_token_len": self._max_token_length,
            "checkpoint_dir": "",
            "save_checkpoint_interval": -1,
            "starting_step": 0,
            "num_steps": -1,
        }
        await self._call("POST", "/register", json=body)
        # The API lets environments register only after the first request for a batch.
        await self._call("GET", "/batch")

    async def run(self, *, groups: int | None = None) -> None:
        """Take batches until `groups` groups have come (None: until cancelled)."""
        received = 0
        with self._path.open("a", encoding="utf-8") as sink:
            while groups is None or received < groups:
                batch = (await self._call("GET", "/batch"))["batch"]
                if batch is None:
                    await asyncio.sleep(_POLL_SECONDS)
                    continue
                for group in batch:
                    if received == groups:
                        break
                    sink.write(json.dumps(group, ensure_ascii=False) + "\n")
                    sink.flush()
                    received += 1
                    self._on_group(group)

    async def leave(self) -> None:
        """Clear the registration, so that the next trainer can register with its own settings."""
        async with self._http.get(f"{self._api_url}/reset_data"):
            pass

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            async with self._http.request(method, self._api_url + path, **arguments) as answer:
                if answer.status != 200:
                    raise TrajectoryApiError(
                        f"the trajectory API answered {answer.status} to {method} {path}: "
                        f"{(await answer.text())[:200]}"
                    )
                return await answer.json()
        except aiohttp.ClientError as error:
            raise TrajectoryApiError(
                f"the trajectory API at {self._api_url} stopped answering: {error}"
            ) from error
