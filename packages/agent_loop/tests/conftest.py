"""Runs `async def` tests, and finds the optional shared folder."""

import asyncio
import inspect
import os
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "agent_loop",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("agent_loop")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), 60))
    return True


@cache
def _shared() -> Path | None:
    root = Path(__file__).resolve().parents[3]
    named = os.environ.get("TREADLE_SHARED")
    places = [Path(named)] if named else [root.parent / "shared", root.parent.parent / "shared"]
    return next((place for place in places if place.is_dir()), None)


@pytest.fixture
def sandbox():
    """A function that opens a lease of a real sandbox, as an async context manager."""
    treadle_sandbox = pytest.importorskip("treadle_sandbox", reason="treadle-sandbox isn't here")

    @asynccontextmanager
    async def lease():
        backend = treadle_sandbox.LocalBackend(slots=1, min_isolation="auto")
        async with backend, await backend.lease() as slot:
            yield slot

    return lease


@pytest.fixture
def commands():
    """A function that returns the command lines of what runs in a lease's working directory."""
    script = (
        'for p in /proc/[0-9]*; do case "$(readlink $p/cwd)" in "$PWD"*) '
        "tr '\\0' ' ' <$p/cmdline; echo ;; esac; done 2>/dev/null"
    )

    async def listed(lease):
        return (await lease.exec(["sh", "-c", script])).stdout.decode().splitlines()

    return listed


@pytest.fixture
def shared() -> Path:
    found = _shared()
    if found is None:
        pytest.skip("no shared folder beside the repository")
    return found
