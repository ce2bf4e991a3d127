"""Every level of the local backend passes the public conformance suite."""

import asyncio

import pytest

from treadle_sandbox import Isolation
from treadle_sandbox.testing import CHECKS, ISOLATION_CHECKS, backend_at, run_check


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(running, check):
    running.runner.run(run_check(check, running.backend))


@pytest.mark.parametrize("check", ISOLATION_CHECKS, ids=lambda check: check.__name__)
def test_confines(running, check):
    if running.backend.capabilities.isolation < Isolation.NAMESPACES:
        pytest.skip("the process level is no boundary, by definition")
    running.runner.run(run_check(check, running.backend))


def test_attacks_refuse_to_run_without_a_boundary():
    async def attack() -> None:
        async with backend_at(Isolation.PROCESS) as backend:
            with pytest.raises(ValueError, match="attacks the machine itself"):
                await run_check(ISOLATION_CHECKS[0], backend)

    asyncio.run(attack())
