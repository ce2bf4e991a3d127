"""The trajectory API of a run: found where it is, started where nothing is, refused otherwise."""

import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from treadle_envs.errors import TrajectoryApiError
from treadle_envs.serving.trajectory_api import trainer_attached, trajectory_api


def test_starts_an_api_where_nothing_listens_and_stops_it(run_async: Any, open_api: Any) -> None:
    async def body() -> None:
        async with open_api() as (http, url):
            assert not await trainer_attached(http, url)
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get(url)

    run_async(body())


def test_uses_the_api_that_is_there(run_async: Any, open_api: Any, tmp_path: Path) -> None:
    async def body() -> None:
        async with open_api() as (http, url):
            async with trajectory_api(http, url + "/", tmp_path / "second") as found:
                assert found == url
            assert not (tmp_path / "second").exists()
            assert not await trainer_attached(http, url)

    run_async(body())


def test_a_registered_trainer_is_seen(run_async: Any, open_api: Any) -> None:
    registration = {
        "wandb_group": "g",
        "wandb_project": "p",
        "batch_size": 4,
        "max_token_len": 100,
        "checkpoint_dir": "",
        "save_checkpoint_interval": -1,
        "starting_step": 0,
        "num_steps": 1,
    }

    async def body() -> None:
        async with open_api() as (http, url):
            await http.post(f"{url}/register", json=registration)
            assert await trainer_attached(http, url)

    run_async(body())


def test_a_port_taken_by_something_else_is_refused(
    run_async: Any, free_port: int, tmp_path: Path
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def body() -> None:
        other = await asyncio.start_server(answer, "127.0.0.1", free_port)
        async with other, aiohttp.ClientSession() as http:
            with pytest.raises(TrajectoryApiError, match=f"{free_port}.*taken"):
                async with trajectory_api(http, f"http://127.0.0.1:{free_port}", tmp_path):
                    pass

    run_async(body())


def test_an_api_elsewhere_that_does_not_answer_is_not_started_here(
    run_async: Any, free_port: int, tmp_path: Path
) -> None:
    async def body() -> None:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(TrajectoryApiError, match="run-api"):
                async with trajectory_api(http, f"http://127.0.0.2:{free_port}", tmp_path):
                    pass

    run_async(body())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_api_runs_in_a_session_of_its_own(
    run_async: Any, open_api: Any, free_port: int
) -> None:
    async def body() -> None:
        async with open_api():
            sessions = [
                os.getsid(int(entry.name))
                for entry in Path("/proc").iterdir()
                if entry.name.isdigit()
                and f"api_server\0{free_port}".encode() in (entry / "cmdline").read_bytes()
            ]
            assert len(sessions) == 1
            assert sessions[0] != os.getsid(0)

    run_async(body())
