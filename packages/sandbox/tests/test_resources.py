"""Attacks on resources in real slots of every level, and what control groups promise there."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from treadle_sandbox import Isolation, IsolationUnavailableError, Limits, LocalBackend
from treadle_sandbox.cgroups import Controller, find_driver
from treadle_sandbox.cgroups.owner import parse
from treadle_sandbox.local.surroundings import fit
from treadle_sandbox.testing import backend_at, resources, run_check
from treadle_sandbox.testing.levels import LIMITS


def bounded():
    """Small limits, as far as this machine's control groups hold them."""
    driver = find_driver()
    controllers = driver.controllers
    driver.close()
    return dataclasses.replace(
        LIMITS,
        slot_memory_bytes=96 << 20 if Controller.MEMORY in controllers else None,
        slot_cpus=0.5 if Controller.CPU in controllers else None,
        disk_files=2000,
    )


@pytest.mark.parametrize("check", resources.CHECKS, ids=lambda check: check.__name__)
def test_resources_are_bounded(level, check):
    if level < Isolation.NAMESPACES:
        pytest.skip("the process level is no boundary, by definition")

    async def run():
        async with backend_at(level, slots=2, limits=bounded()) as backend:
            await run_check(check, backend)

    asyncio.run(run())


def test_bounds_that_can_not_be_held_are_refused_at_the_start():
    async def run(**limits):
        async with LocalBackend(slots=1, limits=Limits(**limits)) as backend:
            return backend.capabilities

    driver = find_driver()
    kind, controllers = driver.kind, driver.controllers
    driver.close()
    for controller, limits in (
        (Controller.MEMORY, {"slot_memory_bytes": 256 << 20}),
        (Controller.CPU, {"slot_cpus": 0.5}),
    ):
        if controller in controllers:
            found = asyncio.run(run(**limits))
            assert not set(limits) & set(found.unlimited)
            assert found.control_groups == kind
        else:
            with pytest.raises(IsolationUnavailableError, match=next(iter(limits))):
                asyncio.run(run(**limits))


def test_files_leave_room_for_processes():
    limits = fit(Limits(slot_memory_bytes=400 << 20))
    assert limits.disk_bytes == 100 << 20
    assert fit(Limits()) == Limits()
    assert fit(Limits(slot_memory_bytes=8 << 30)).disk_bytes == Limits().disk_bytes


def groups(process):
    """The groups that a process made; other programs have theirs."""
    found = Path("/sys/fs/cgroup").rglob(f"treadle-*-{process}-*")
    return {path for path in found if (maker := parse(path.name)) and maker.process == process}


def test_a_backend_leaves_no_group(level):
    before = groups(os.getpid())

    async def run():
        async with backend_at(level, slots=3) as backend:
            leases = [await backend.lease() for _ in range(3)]
            await leases[0].exec(["sh", "-c", "sleep 60 & setsid sleep 60 &"])
            await leases[1].reset()
            await leases[2].aclose()
            await backend.lease()
            assert groups(os.getpid()) or backend.capabilities.control_groups == "none"

    asyncio.run(run())
    assert groups(os.getpid()) - before == set()


def test_groups_of_a_killed_backend_are_reclaimed_by_the_next_one():
    driver = find_driver()
    kind = driver.kind
    driver.close()
    if kind == "none":
        pytest.skip("; ".join(driver.reasons))
    program = """
import asyncio, sys
from treadle_sandbox import LocalBackend
async def main():
    async with LocalBackend(slots=1, min_isolation="auto") as backend:
        async with await backend.lease() as lease:
            print("ready", flush=True)
            await lease.exec(["sleep", "60"], timeout=100)
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        assert groups(process.pid)
        process.kill()
    assert process.returncode == -signal.SIGKILL

    async def run():
        backend = LocalBackend(slots=1, min_isolation="auto")
        async with backend, await backend.lease() as lease:
            assert (await lease.exec(["echo", "on"])).stdout == b"on\n"

    asyncio.run(run())
    assert groups(process.pid) == set()
