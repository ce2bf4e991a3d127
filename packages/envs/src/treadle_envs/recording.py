"""Writing a run to disk, one line per rollout, as soon as it is scored.

The form of a line is that of `treadle_agent_loop.record`.
"""

from dataclasses import asdict
from typing import Any

from treadle_agent_loop.record import (
    FailureRecord,
    JsonLines,
    RecordWriter,
    RolloutRecord,
    record_json,
)
from treadle_envs.observer import NullObserver
from treadle_envs.records import FailedRollout, ScoredRollout

__all__ = ["JsonLines", "RolloutRecorder", "rollout_record", "to_record"]


class RolloutRecorder(NullObserver):
    """An observer that writes every scored and every failed rollout as one line."""

    def __init__(self, lines: JsonLines) -> None:
        self._records = RecordWriter(lines)

    def rollout_finished(self, rollout: ScoredRollout) -> None:
        """Write the rollout."""
        self._records.write(to_record(rollout))

    def rollout_failed(self, failure: FailedRollout) -> None:
        """Write the failure."""
        self._records.write(
            FailureRecord(
                rollout_id=failure.rollout_id,
                group_id=failure.group_id,
                kind=failure.kind,
                message=failure.message,
                item_id=failure.item_id,
                model=failure.model,
                seed=failure.seed,
                started=failure.started,
            )
        )


def to_record(rollout: ScoredRollout) -> RolloutRecord:
    """Return a scored rollout as a record."""
    sampling = rollout.sampling
    return RolloutRecord(
        rollout_id=rollout.rollout_id,
        group_id=rollout.group_id,
        item_id=rollout.item_id,
        result=rollout.result,
        reward=rollout.reward,
        metrics=rollout.metrics,
        sandbox={"isolation": rollout.isolation},
        seconds=rollout.seconds,
        model=rollout.model,
        seed=sampling.seed if sampling else None,
        sampling=asdict(sampling) if sampling else {},
        started=rollout.started,
    )


def rollout_record(rollout: ScoredRollout) -> dict[str, Any]:
    """Return a scored rollout as plain JSON values."""
    return record_json(to_record(rollout))
