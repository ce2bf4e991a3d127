"""A real trajectory API for the tests of the serving modules."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from treadle_envs.serving.trajectory_api import trajectory_api


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


OpenApi = Callable[[], object]


@pytest.fixture
def open_api(free_port: int, tmp_path: Path) -> OpenApi:
    """Open an HTTP session and a trajectory API of its own; yields both."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
        url = f"http://127.0.0.1:{free_port}"
        async with (
            aiohttp.ClientSession() as http,
            trajectory_api(http, url, tmp_path / "logs") as started,
        ):
            yield http, started

    return opened


@pytest.fixture
def run_async() -> Callable[[Awaitable[None]], None]:
    def run(body: Awaitable[None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await body

        asyncio.run(bounded())

    return run
