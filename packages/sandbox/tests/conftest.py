"""Backends to test: one for each isolation level of this machine, started once."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from treadle_sandbox import Isolation, IsolationUnavailableError, LocalBackend
from treadle_sandbox.testing import backend_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A started backend and the loop it lives on."""

    runner: asyncio.Runner
    backend: LocalBackend


def skip_or_fail(level: Isolation, error: IsolationUnavailableError) -> None:
    """Skip for what the machine lacks; never for a fault of ours."""
    if level is Isolation.PROCESS or "Traceback" in str(error):
        raise error
    pytest.skip(str(error))


@pytest.fixture(scope="session", params=list(Isolation), ids=str)
def running(request) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        backend = backend_at(request.param)
        try:
            runner.run(backend.__aenter__())
        except IsolationUnavailableError as error:
            skip_or_fail(request.param, error)
        try:
            yield Running(runner=runner, backend=backend)
        finally:
            runner.run(backend.aclose())


@pytest.fixture(params=list(Isolation), ids=str)
def level(request) -> Isolation:
    async def probe() -> None:
        async with backend_at(request.param):
            pass

    try:
        asyncio.run(probe())
    except IsolationUnavailableError as error:
        skip_or_fail(request.param, error)
    return request.param
