"""Finding the trajectory API of a run, or starting it when nothing listens there."""

import contextlib
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from treadle_envs.errors import TrajectoryApiError
from treadle_envs.serving.children import child_server

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=5)


@contextlib.asynccontextmanager
async def trajectory_api(http: aiohttp.ClientSession, url: str, logs: Path) -> AsyncGenerator[str]:
    """Yield the URL of a trajectory API that answers: the one there, or one started for the block.

    Raises:
        TrajectoryApiError: something else answers at `url`, or nothing does and it isn't local.
    """
    url = url.rstrip("/")
    if await _answers(http, url):
        yield url
        return
    address = urlsplit(url)
    if address.hostname not in _LOOPBACK:
        raise TrajectoryApiError(
            f"no trajectory API answers at {url}; start `run-api` there or correct --api-url"
        )
    command = [sys.executable, "-m", "treadle_envs.serving.api_server", str(address.port or 80)]
    async with child_server("trajectory API", command, logs / "api.log") as started:
        yield started


async def trainer_attached(http: aiohttp.ClientSession, url: str) -> bool:
    """Whether a trainer has registered at the API."""
    async with http.get(f"{url}/info") as answer:
        return (await answer.json())["batch_size"] != -1


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    """Whether a trajectory API listens there: False when nothing does, else an error."""
    try:
        async with http.get(f"{url}/openapi.json", timeout=_PROBE_TIMEOUT) as answer:
            described = await answer.json(content_type=None) if answer.status == 200 else None
    except aiohttp.ClientConnectorError:
        return False
    except (aiohttp.ClientError, TimeoutError, ValueError):
        described = None
    if isinstance(described, dict) and "/scored_data" in described.get("paths", {}):
        return True
    raise TrajectoryApiError(
        f"the port of {url} is taken by something that is no trajectory API; "
        "stop it or choose another address with --api-url"
    )
