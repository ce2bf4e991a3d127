"""What an environment produces: rollouts with a reward, and groups of them.

A scored rollout is always a real score of a rollout that really ended. A rollout that
infrastructure broke is a `FailedRollout`: it carries no reward, and no statistics of rewards ever
see it. These records know nothing of trainers; an adapter turns them into what a trainer wants.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from treadle_agent_loop.model import SamplingParams
from treadle_agent_loop.rollout import RolloutResult

Item = Mapping[str, Any]
"""One task of a dataset: plain JSON values, and never changed by a rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRollout:
    """One rollout that ended and was scored."""

    rollout_id: str
    """`GROUP_ID/INDEX`, unique within a run."""
    group_id: str
    item_id: str
    reward: float
    """What the environment's reward function returned: finite."""
    result: RolloutResult
    isolation: str
    """The isolation level its tools ran under, for example `bubblewrap`."""
    seconds: float
    """Wall-clock time from the lease to the reward."""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    """Further numbers the environment measured, by name."""
    model: str = ""
    """The model's name on its server."""
    sampling: SamplingParams | None = None
    """How it was sampled, with the rollout's own seed."""
    started: str = ""
    """When the attempt that was scored began, in ISO 8601 with a time zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredGroup:
    """All rollouts of one task."""

    group_id: str
    item_id: str
    rollouts: tuple[ScoredRollout, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRollout:
    """One attempt at a rollout that infrastructure or the reward function broke."""

    rollout_id: str
    group_id: str
    kind: str
    """Class name of the error, for example `ModelServerError`: a key to count by."""
    message: str
    """One line: what happened and what to do."""
    item_id: str = ""
    model: str = ""
    seed: int | None = None
    started: str = ""
    """When the attempt began, in ISO 8601 with a time zone."""


class LossReason(StrEnum):
    """Why a group never reached the trainer."""

    ROLLOUT_FAILED = "rollout_failed"
    """A rollout of it failed after all its retries."""
    REWARD_FAILED = "reward_failed"
    """The environment's reward function raised or returned a number that isn't finite."""
    SAME_SCORES = "same_scores"
    """All scores are equal, and `ensure_scores_are_not_same` is on."""
    TOO_LONG = "too_long"
    """A sequence is as long as the trainer's limit or longer."""
    NO_SEQUENCES = "no_sequences"
    """No rollout of it exported a token sequence."""
    INVALID = "invalid"
    """It failed the check before sending."""
    REFUSED = "refused"
    """The trajectory API answered 4xx."""
    UNDELIVERED = "undelivered"
    """The trajectory API couldn't be reached, or answered 5xx, until the retries ran out."""
    TIMEOUT = "timeout"
    """Its worker ran into `worker_timeout`."""
    CANCELLED = "cancelled"
    """It was stopped: shutdown, evaluation, or a full queue at the trainer."""
