"""The conformance suite: what every backend, and every isolation level of it, must do.

Each check is a coroutine function that takes an entered backend with at least two slots, and raises
`AssertionError` with the reason when the backend falls short. `CHECKS` holds for all;
`ISOLATION_CHECKS` for backends whose capabilities name at least `namespaces` and no network;
`RESOURCE_CHECKS` attack the limits that hold there, and `EGRESS_CHECKS` a network allow-list. Run
them under any test runner:

    for check in CHECKS:
        asyncio.run(run_check(check, backend))

`FakeBackend` is for tests of code that uses sandboxes: scripted outcomes, files in memory.
"""

from collections.abc import Awaitable, Callable

from treadle_sandbox.backend import Backend
from treadle_sandbox.records import Isolation
from treadle_sandbox.testing import (
    archives,
    commands,
    confinement,
    egress,
    files,
    floor,
    jobs,
    leases,
    neighbours,
    planted,
    resources,
    sessions,
)
from treadle_sandbox.testing.fake import FakeBackend, FakeCall, script_of
from treadle_sandbox.testing.levels import backend_at, other_levels

Check = Callable[[Backend], Awaitable[None]]

CHECKS: tuple[Check, ...] = (
    *commands.CHECKS,
    *sessions.CHECKS,
    *jobs.CHECKS,
    *files.CHECKS,
    *archives.CHECKS,
    *planted.CHECKS,
    *floor.CHECKS,
    *leases.CHECKS,
)
"""What every backend must do, at every level."""

ISOLATION_CHECKS: tuple[Check, ...] = (*confinement.CHECKS, *neighbours.CHECKS)
"""Attacks that must fail where a slot is isolated, and leave the slot usable."""

RESOURCE_CHECKS: tuple[Check, ...] = resources.CHECKS
"""Attacks on memory, processes, disk and processor, each where the limit holds; set small ones."""

EGRESS_CHECKS: tuple[Check, ...] = egress.CHECKS
"""Attacks on the allow-list of a backend whose capabilities have `allowed` rules."""

_ATTACKS = frozenset((*ISOLATION_CHECKS, *RESOURCE_CHECKS, *EGRESS_CHECKS))


async def run_check(check: Check, backend: Backend) -> None:
    """Run one check and assert that it left no lease behind.

    Raises:
        ValueError: an attack on a backend without a boundary: it would harm this machine.
    """
    level = backend.capabilities.isolation
    if check in _ATTACKS and level < Isolation.NAMESPACES:
        raise ValueError(f"{check.__name__} attacks the machine itself at the level {level}")
    await check(backend)
    state = backend.statistics()
    assert (state.leased, state.waiting, state.running) == (0, 0, 0), f"left behind: {state}"


__all__ = [
    "CHECKS",
    "EGRESS_CHECKS",
    "ISOLATION_CHECKS",
    "RESOURCE_CHECKS",
    "Check",
    "FakeBackend",
    "FakeCall",
    "backend_at",
    "other_levels",
    "run_check",
    "script_of",
]
