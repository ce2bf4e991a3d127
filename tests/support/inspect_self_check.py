"""inspect_ai's own self-check over our local backend; run by pytest in inspect_ai's environment.

Every check must pass. Where slots can't have a root of their own, the one check that makes an
account is expected to fail, and must.
"""

import pytest
from inspect_ai.util._sandbox.self_check import *  # noqa: F403

from treadle_sandbox.adapters.inspect_ai import TreadleSandboxEnvironment, _backends

pytestmark = pytest.mark.anyio
_NEEDS_ROOT = {"test_exec_as_user"}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def sandbox_env(request, anyio_backend):
    kind = TreadleSandboxEnvironment
    await kind.task_init("self-check", None)
    try:
        capable = _backends["self-check"].capabilities.root_inside
        if request.node.originalname in _NEEDS_ROOT and not capable:
            reason = "no root inside slots on this machine"
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
        environments = await kind.sample_init("self-check", None, {})
        yield environments["default"]
        await kind.sample_cleanup("self-check", None, environments, False)
    finally:
        await kind.task_cleanup("self-check", None, True)
