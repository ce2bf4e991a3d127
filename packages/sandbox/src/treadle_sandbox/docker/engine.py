"""Calls of the Docker SDK from asyncio: in threads, with typed errors in plain words."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import docker
import requests.exceptions
from docker import errors as docker_errors

from treadle_sandbox.errors import ServerError, ServerStartError

_Result = TypeVar("_Result")
_HTTP_TIMEOUT = 60


def open_engine(host: str | None) -> Any:
    """Return a client of the engine at `host`, or of the environment's.

    Raises:
        ServerStartError: there is no engine, or it can't be used by this user.
    """
    try:
        if host is None:
            return docker.from_env(timeout=_HTTP_TIMEOUT)
        return docker.DockerClient(base_url=host, timeout=_HTTP_TIMEOUT)
    except docker_errors.DockerException as error:
        raise ServerStartError(
            f"no Docker engine can be reached ({explain(error)}): start one, set `host` or "
            "DOCKER_HOST, or add this user to the group docker"
        ) from error


async def call(work: Callable[[], _Result], what: str) -> _Result:
    """Run one blocking call in a thread.

    Raises:
        ServerError: the engine refused, failed, or can't be reached.
    """
    try:
        return await asyncio.to_thread(work)
    except docker_errors.DockerException as error:
        raise ServerError(f"Docker, {what}: {explain(error)}") from error
    except requests.exceptions.RequestException as error:
        raise ServerError(f"Docker, {what}: the engine doesn't answer: {error}") from error


def explain(error: Exception) -> str:
    """Return the engine's own words."""
    if isinstance(error, docker_errors.BuildError):
        tail = [str(row.get("stream") or row.get("error") or "").strip() for row in error.build_log]
        return " | ".join([line for line in tail if line][-5:]) or str(error)
    if isinstance(error, docker_errors.APIError) and error.explanation:
        return str(error.explanation)
    return str(error)
