"""Counts of one run, gathered from its events; the live view and the summary read them."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field

from treadle_envs.records import FailedRollout, LossReason, ScoredGroup, ScoredRollout


@dataclass(slots=True)
class RunStatistics:
    """An `Observer` that counts. Rewards and tool use are over scored rollouts only."""

    target_groups: int | None = None
    started: float = field(default_factory=time.monotonic)
    in_flight: set[str] = field(default_factory=set[str])
    rollouts: int = 0
    reward_sum: float = 0.0
    with_tools: int = 0
    tool_calls: int = 0
    sampled_tokens: int = 0
    trained_tokens: int = 0
    dropped_tokens: Counter[str] = field(default_factory=Counter[str])
    groups_finished: int = 0
    groups_delivered: int = 0
    groups_lost: Counter[str] = field(default_factory=Counter[str])
    errors: Counter[str] = field(default_factory=Counter[str])
    stop_reasons: Counter[str] = field(default_factory=Counter[str])
    isolation: str = ""
    phase: str = "starting"
    """What the run is doing, for people who watch it."""
    last_messages: deque[str] = field(default_factory=lambda: deque[str](maxlen=3))

    def rollout_started(self, rollout_id: str, group_id: str) -> None:
        """Count a rollout as in flight."""
        self.phase = "running"
        self.in_flight.add(rollout_id)

    def rollout_finished(self, rollout: ScoredRollout) -> None:
        """Take a scored rollout into the means."""
        self.in_flight.discard(rollout.rollout_id)
        self.rollouts += 1
        self.reward_sum += rollout.reward
        self.with_tools += bool(rollout.result.tool_records)
        self.tool_calls += len(rollout.result.tool_records)
        self.sampled_tokens += rollout.result.ledger.sampled
        self.trained_tokens += rollout.result.ledger.trained
        self.dropped_tokens.update(rollout.result.ledger.dropped)
        self.stop_reasons[rollout.result.stop_reason.value] += 1
        self.isolation = rollout.isolation

    def rollout_failed(self, failure: FailedRollout) -> None:
        """Count an infrastructure failure by kind; it enters no mean."""
        self.in_flight.discard(failure.rollout_id)
        self.errors[failure.kind] += 1
        self.last_messages.append(f"{failure.kind}: {failure.message}")

    def group_finished(self, group: ScoredGroup) -> None:
        """Count a complete group."""
        self.groups_finished += 1

    def group_delivered(self, group: ScoredGroup) -> None:
        """Count a group that the trajectory API (or the file) took."""
        self.groups_delivered += 1

    def group_lost(self, group_id: str, reason: str) -> None:
        """Count a group that went out neither whole nor in part."""
        kind = reason.partition(":")[0]
        if kind != LossReason.CANCELLED.value:  # a stopped run loses nothing
            self.groups_lost[kind] += 1

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def mean_reward(self) -> float | None:
        """Mean over scored rollouts; None before the first."""
        return self.reward_sum / self.rollouts if self.rollouts else None

    @property
    def tool_use_rate(self) -> float | None:
        """Share of scored rollouts with at least one tool call; None before the first."""
        return self.with_tools / self.rollouts if self.rollouts else None
