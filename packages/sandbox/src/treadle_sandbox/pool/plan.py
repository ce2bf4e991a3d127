"""What a pool should do next with its servers. Pure: the same view gives the same plan.

- Up at once: as many servers as the waiting requests fill, beyond those that are starting; limited
  by the pace, by `max_starting` and by `max_containers`.
- At least `min_containers` that live on, ready or starting.
- Down: a server above that number that was idle for `idle_timeout` is drained.
- A server that its platform ends within `expiry_margin` no longer counts as one that lives on, so
  that another is started; in the second half of the margin it is drained.
- A drained server goes when its last lease ends, at the latest when its platform ends it; a
  quarantined one after `remove_after` failures.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from treadle_sandbox.config import PoolConfig
from treadle_sandbox.pool.fleet import Server, ServerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps to take now."""

    create: int
    """Servers to start."""
    wanted: int
    """Servers that would be started if the pace allowed it."""
    drain: tuple[Server, ...]
    remove: tuple[Server, ...]


def make_plan(
    servers: Iterable[Server], *, waiting: int, allowed: int, now: float, config: PoolConfig
) -> Plan:
    """Return the next steps for `waiting` requests that any server can serve."""
    fleet = tuple(servers)
    present = [server for server in fleet if server.state in _PRESENT]
    starting = [server for server in present if server.state is ServerState.STARTING]
    lasting = [server for server in present if _lasts(server, now, config)]
    coming = sum(server.slots for server in starting)
    short = math.ceil(max(0, waiting - coming) / config.slots_per_container)
    short = max(short, config.min_containers - len(lasting))
    occupied = sum(not _leaves(server, now, config) for server in present)
    wanted = max(0, min(short, config.max_containers - occupied))
    create = max(0, min(wanted, config.max_starting - len(starting), allowed))
    return Plan(
        create=create,
        wanted=wanted,
        drain=(*_expiring(fleet, now, config), *_idle(lasting, waiting, now, config)),
        remove=tuple(server for server in fleet if _is_over(server, now, config)),
    )


_PRESENT = (ServerState.STARTING, ServerState.READY, ServerState.QUARANTINED)


def _leaves(server: Server, now: float, config: PoolConfig) -> bool:
    return server.retires(now, config.expiry_margin)


def _lasts(server: Server, now: float, config: PoolConfig) -> bool:
    return server.state is not ServerState.QUARANTINED and not _leaves(server, now, config)


def _expiring(servers: tuple[Server, ...], now: float, config: PoolConfig) -> list[Server]:
    half = config.expiry_margin / 2
    return [s for s in servers if s.state is ServerState.READY and s.retires(now, half)]


def _idle(lasting: list[Server], waiting: int, now: float, config: PoolConfig) -> list[Server]:
    ready = [server for server in lasting if server.state is ServerState.READY]
    spare = len(ready) - config.min_containers
    if waiting or spare <= 0:
        return []
    idle = [s for s in ready if s.idle and now - s.idle_since >= config.idle_timeout]
    idle.sort(key=lambda server: server.idle_since)
    return idle[:spare]


def _is_over(server: Server, now: float, config: PoolConfig) -> bool:
    if server.state is ServerState.DRAINING:
        return (server.drained and server.empty) or server.retires(now, 0.0)
    if server.state is ServerState.QUARANTINED:
        return server.failures >= config.remove_after or server.retires(now, 0.0)
    return False
