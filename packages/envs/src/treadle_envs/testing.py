"""Public fakes for tests of environments: they keep the real contracts, so nothing is patched.

`HostBackend` leases folders of this machine with real processes and no isolation, for scripts that
a test wrote itself. `EventLog` is an observer that remembers what it was told.
"""

import asyncio

from treadle_agent_loop.testing import HostWorkspace
from treadle_envs.records import FailedRollout, ScoredGroup, ScoredRollout


class HostBackend:
    """At most `slots` host workspaces at one time; counts what is out and what came back."""

    def __init__(self, slots: int = 8) -> None:
        self.leased = 0
        self.returned = 0
        self._free = asyncio.Semaphore(slots)

    @property
    def out(self) -> int:
        """Leases in use now."""
        return self.leased - self.returned

    async def lease(self, *, timeout: float = 30.0) -> "HostLease":
        """Wait for a free slot; TimeoutError when none becomes free in time."""
        async with asyncio.timeout(timeout):
            await self._free.acquire()
        self.leased += 1
        return HostLease(self)

    def take_back(self) -> None:
        """Note that a lease ended."""
        self.returned += 1
        self._free.release()


class HostLease(HostWorkspace):
    """A host workspace that tells its backend when it is closed."""

    def __init__(self, backend: HostBackend) -> None:
        super().__init__()
        self._backend: HostBackend | None = backend

    async def aclose(self) -> None:
        """Delete the folder and return the slot; safe to call twice."""
        await super().aclose()
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.take_back()


class EventLog:
    """An observer that keeps every event, in order, as text and as records."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.rollouts: list[ScoredRollout] = []
        self.failures: list[FailedRollout] = []
        self.delivered: list[ScoredGroup] = []
        self.lost: dict[str, str] = {}

    def rollout_started(self, rollout_id: str, group_id: str) -> None:
        """Keep the event."""
        self.events.append(f"started {rollout_id}")

    def rollout_finished(self, rollout: ScoredRollout) -> None:
        """Keep the event."""
        self.events.append(f"finished {rollout.rollout_id}")
        self.rollouts.append(rollout)

    def rollout_failed(self, failure: FailedRollout) -> None:
        """Keep the event."""
        self.events.append(f"failed {failure.rollout_id} {failure.kind}")
        self.failures.append(failure)

    def group_finished(self, group: ScoredGroup) -> None:
        """Keep the event."""
        self.events.append(f"complete {group.group_id}")

    def group_delivered(self, group: ScoredGroup) -> None:
        """Keep the event."""
        self.events.append(f"delivered {group.group_id}")
        self.delivered.append(group)

    def group_lost(self, group_id: str, reason: str) -> None:
        """Keep the event."""
        self.events.append(f"lost {group_id}")
        self.lost[group_id] = reason
