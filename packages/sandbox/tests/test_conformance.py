"""Every level of the local backend passes the public conformance suite."""

import pytest

from treadle_sandbox import Isolation
from treadle_sandbox.testing import CHECKS, ISOLATION_CHECKS, run_check


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(running, check):
    running.runner.run(run_check(check, running.backend))


@pytest.mark.parametrize("check", ISOLATION_CHECKS, ids=lambda check: check.__name__)
def test_confines(running, check):
    if running.backend.capabilities.isolation < Isolation.NAMESPACES:
        pytest.skip("the process level is no boundary, by definition")
    running.runner.run(run_check(check, running.backend))
