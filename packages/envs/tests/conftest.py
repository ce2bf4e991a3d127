"""Shared by the tests of this package: async tests, data files, a real trajectory API."""

import asyncio
import inspect
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

REPOSITORY = Path(__file__).parents[3]
PROBLEMS = Path(__file__).parent / "data" / "problems.jsonl"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests, with a limit, on a loop of their own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def bounded() -> None:
        async with asyncio.timeout(120):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True


@pytest.fixture
def problems() -> Path:
    """A small data file in GSM8K's form, written for this repository."""
    return PROBLEMS


@pytest.fixture
def shared_gsm8k() -> Path:
    """The real GSM8K test file, where it lies beside the repository."""
    named = os.environ.get("TREADLE_SHARED")
    folders = [REPOSITORY.parent / "shared", REPOSITORY.parents[1] / "shared"]
    for folder in [Path(named)] if named else folders:
        if (folder / "gsm8k" / "test.jsonl").is_file():
            return folder / "gsm8k" / "test.jsonl"
    pytest.skip("no shared/gsm8k/test.jsonl beside the repository")


class Trainer:
    """A trainer as the trajectory API knows one: registers, then asks for batches."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.groups: list[dict[str, object]] = []

    async def start(self, *, batch_size: int = 4, max_token_len: int = 4096) -> None:
        async with aiohttp.ClientSession() as session:
            registration = {
                "wandb_group": "g",
                "wandb_project": "p",
                "batch_size": batch_size,
                "max_token_len": max_token_len,
                "checkpoint_dir": "",
                "save_checkpoint_interval": -1,
                "starting_step": 0,
                "num_steps": 1000,
            }
            async with session.post(f"{self.url}/register", json=registration) as response:
                response.raise_for_status()
        await self.take()

    async def take(self) -> None:
        """Take every batch there is."""
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{self.url}/batch") as response:
                    batch = (await response.json())["batch"]
                if not batch:
                    return
                self.groups.extend(batch)


@pytest.fixture
def api_url() -> Iterator[str]:
    """A real trajectory API in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "atroposlib.api:app", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        asyncio.run(_answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def trainer(api_url: str) -> Trainer:
    """A trainer of that API."""
    return Trainer(api_url)


async def _answers(url: str) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


def read_lines(path: Path) -> list[dict[str, object]]:
    """Return the records of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def lines_of() -> object:
    """The reader of JSON-lines files."""
    return read_lines
