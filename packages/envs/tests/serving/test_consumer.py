"""The local batch consumer against the real trajectory API."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from treadle_envs.errors import TrajectoryApiError
from treadle_envs.serving.consumer import BatchConsumer, Group
from treadle_envs.serving.trajectory_api import trainer_attached

GROUP: Group = {
    "tokens": [[1, 2], [1, 3]],
    "masks": [[-100, 2], [-100, 3]],
    "scores": [1.0, 0.0],
    "inference_logprobs": [[1.0, -0.5], [1.0, -0.25]],
    "messages": [[{"role": "user", "content": "grüezi"}]] * 2,
}


def consumer(http: aiohttp.ClientSession, url: str, path: Path, seen: list[Group]) -> BatchConsumer:
    return BatchConsumer(
        http, url, path=path, batch_size=2, max_token_length=64, on_group=seen.append
    )


async def register_environment(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    body = {"max_token_length": 64, "desired_name": "e", "weight": 1.0, "group_size": 2}
    async with http.post(f"{url}/register-env", json=body) as answer:
        return await answer.json()


def test_registering_lets_environments_register(
    run_async: Any, open_api: Any, tmp_path: Path
) -> None:
    async def body() -> None:
        async with open_api() as (http, url):
            assert (await register_environment(http, url))["status"] != "success"
            await consumer(http, url, tmp_path / "groups.jsonl", []).register()
            assert (await register_environment(http, url))["status"] == "success"

    run_async(body())


def test_writes_each_group_as_the_trainer_receives_it(
    run_async: Any, open_api: Any, tmp_path: Path
) -> None:
    seen: list[Group] = []
    path = tmp_path / "groups.jsonl"

    async def body() -> None:
        async with open_api() as (http, url):
            taking = consumer(http, url, path, seen)
            await taking.register()
            task = asyncio.create_task(taking.run(groups=3))
            for _ in range(3):
                await http.post(f"{url}/scored_data", json=GROUP)
            await task

    run_async(body())
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == seen
    assert len(rows) == 3
    for row in rows:
        assert {key: row[key] for key in GROUP} == GROUP


def test_leaving_frees_the_api_for_the_next_trainer(
    run_async: Any, open_api: Any, tmp_path: Path
) -> None:
    async def body() -> None:
        async with open_api() as (http, url):
            taking = consumer(http, url, tmp_path / "groups.jsonl", [])
            await taking.register()
            assert await trainer_attached(http, url)
            await taking.leave()
            assert not await trainer_attached(http, url)

    run_async(body())


def test_an_api_that_stops_answering_is_one_clear_error(
    run_async: Any, tmp_path: Path, free_port: int
) -> None:
    async def body() -> None:
        async with aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{free_port}"
            with pytest.raises(TrajectoryApiError, match=url):
                await consumer(http, url, tmp_path / "groups.jsonl", []).register()

    run_async(body())
