"""What is kept of a rollout: its result, and everything needed to understand it later.

A record is plain data. `VERSION` is the version of its JSON form, frozen in `schema.json`: a
change of that form is a new version, and older ones stay readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from treadle_agent_loop.rollout import RolloutResult

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """A rollout that ended."""

    rollout_id: str
    result: RolloutResult
    reward: float | None = None
    """None where it wasn't scored."""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    group_id: str = ""
    item_id: str = ""
    model: str = ""
    seed: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """How it was sampled: the fields of `SamplingParams`."""
    sandbox: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Where its tools ran, for example `{"isolation": "bubblewrap"}`."""
    seconds: float = 0.0
    """Wall-clock time of the whole rollout, the reward included."""
    started: str = ""
    """When it began, in ISO 8601 with a time zone; empty when not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """An attempt at a rollout that failing infrastructure ended; it has no reward."""

    rollout_id: str
    kind: str
    """Class name of the error."""
    message: str
    group_id: str = ""
    item_id: str = ""
    model: str = ""
    seed: int | None = None
    started: str = ""


Record = RolloutRecord | FailureRecord
