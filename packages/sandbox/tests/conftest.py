"""Backends to test: one for each isolation level of this machine, started once."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from treadle_sandbox import Isolation, IsolationUnavailableError, Limits, LocalBackend

LIMITS = Limits(memory_bytes=1 << 30, disk_bytes=32 << 20, processes=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A started backend and the loop it lives on."""

    runner: asyncio.Runner
    backend: LocalBackend


def others(level: Isolation) -> list[Isolation]:
    return [other for other in Isolation if other is not level]


def make_backend(level: Isolation, **options) -> LocalBackend:
    return LocalBackend(
        min_isolation="auto", exclude=others(level), **{"slots": 8, "limits": LIMITS, **options}
    )


def skip_or_fail(level: Isolation, error: IsolationUnavailableError) -> None:
    """Skip for what the machine lacks; never for a fault of ours."""
    if level is Isolation.PROCESS or "Traceback" in str(error):
        raise error
    pytest.skip(str(error))


@pytest.fixture(scope="session", params=list(Isolation), ids=str)
def running(request) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        backend = make_backend(request.param)
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
        async with make_backend(request.param):
            pass

    try:
        asyncio.run(probe())
    except IsolationUnavailableError as error:
        skip_or_fail(request.param, error)
    return request.param
