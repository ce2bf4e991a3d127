"""Who watches a run: the live view, the file writer, the metrics.

Observers are called on the event loop, between awaits, in the order things happened. They must
return at once and must not raise. Every group that was begun ends in exactly one `group_delivered`
or `group_lost`; one whose rollouts all completed is reported as `group_finished` before that.
"""

from collections.abc import Iterable
from typing import Protocol

from treadle_envs.records import FailedRollout, ScoredGroup, ScoredRollout


class Observer(Protocol):
    """Is told of every rollout and group of a run."""

    def rollout_started(self, rollout_id: str, group_id: str) -> None:
        """Note that an attempt at a rollout begins; a retry begins again under the same id."""
        ...

    def rollout_finished(self, rollout: ScoredRollout) -> None:
        """Note a scored rollout."""
        ...

    def rollout_failed(self, failure: FailedRollout) -> None:
        """Note an attempt that broke; it may be tried again."""
        ...

    def group_finished(self, group: ScoredGroup) -> None:
        """Note a complete group, before it is sent anywhere."""
        ...

    def group_delivered(self, group: ScoredGroup) -> None:
        """Note that the trainer (or the output file) has the group."""
        ...

    def group_lost(self, group_id: str, reason: str) -> None:
        """Note a group that won't be delivered; `reason` starts with a `LossReason` value."""
        ...


class NullObserver:
    """An observer that does nothing: the base to write one that wants only some events."""

    def rollout_started(self, rollout_id: str, group_id: str) -> None:
        """Ignore."""

    def rollout_finished(self, rollout: ScoredRollout) -> None:
        """Ignore."""

    def rollout_failed(self, failure: FailedRollout) -> None:
        """Ignore."""

    def group_finished(self, group: ScoredGroup) -> None:
        """Ignore."""

    def group_delivered(self, group: ScoredGroup) -> None:
        """Ignore."""

    def group_lost(self, group_id: str, reason: str) -> None:
        """Ignore."""


class Observers:
    """Several observers as one, told in the order given."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def rollout_started(self, rollout_id: str, group_id: str) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.rollout_started(rollout_id, group_id)

    def rollout_finished(self, rollout: ScoredRollout) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.rollout_finished(rollout)

    def rollout_failed(self, failure: FailedRollout) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.rollout_failed(failure)

    def group_finished(self, group: ScoredGroup) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.group_finished(group)

    def group_delivered(self, group: ScoredGroup) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.group_delivered(group)

    def group_lost(self, group_id: str, reason: str) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.group_lost(group_id, reason)
