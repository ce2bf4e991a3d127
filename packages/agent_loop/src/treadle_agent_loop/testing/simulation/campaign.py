"""Many simulated rollouts, one seed each, with the sums that have to agree."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from treadle_agent_loop.errors import AgentLoopError
from treadle_agent_loop.testing.simulation.play import Simulated, simulate
from treadle_agent_loop.testing.simulation.proofs import UnprovenError, prove


@dataclass(slots=True, kw_only=True)
class Campaign:
    """What was counted over all rollouts."""

    rollouts: int = 0
    calls: int = 0
    sampled: int = 0
    trained: int = 0
    lost: int = 0
    """Ids that an engine sampled and that never reached the client."""
    closes: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    origins: Counter[str] = field(default_factory=Counter[str])
    families: Counter[str] = field(default_factory=Counter[str])
    divergences: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    """One line each, with the seed."""

    @property
    def holds(self) -> bool:
        """Whether every rollout was proven and the sums agree."""
        return not self.failures and self.sampled == self.trained + self.dropped.total()

    def count(self, rollout: Simulated) -> None:
        """Add one rollout."""
        report = rollout.session.report()
        self.rollouts += 1
        self.calls += len(rollout.engine.delivered)
        self.sampled += sum(len(answer.ids) for answer in rollout.engine.delivered)
        self.trained += report.trained
        self.lost += rollout.engine.lost
        self.closes += report.synthesised
        self.dropped.update(report.dropped)
        self.divergences.update(report.divergences)
        self.families[rollout.family] += 1
        self.origins.update(segment.origin for segment in rollout.session.segments())


async def run_campaign(
    rollouts: int, *, seed: int = 0, progress: Callable[[Campaign], None] = lambda campaign: None
) -> Campaign:
    """Play and prove rollouts with the seeds from `seed` on; `progress` is told after each."""
    campaign = Campaign()
    for number in range(seed, seed + rollouts):
        try:
            rollout = await simulate(random.Random(number))
            prove(rollout)
            campaign.count(rollout)
        except (UnprovenError, AgentLoopError) as error:
            campaign.failures.append(f"seed {number}: {error}")
        progress(campaign)
    return campaign
