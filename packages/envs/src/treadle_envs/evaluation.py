"""Evaluating through the same runner as training: every task once, failures counted apart.

The mean is over scored rollouts only; errors never count as wrong. The standard error is that of
the mean of the scores (sample standard deviation over the root of n).
"""

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from treadle_envs.errors import GroupLostError
from treadle_envs.group import GroupRunner
from treadle_envs.recording import rollout_record
from treadle_envs.records import Item, ScoredRollout


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """What an evaluation found."""

    rollouts: tuple[ScoredRollout, ...]
    """The scored ones, in the order of the tasks."""
    errors: tuple[str, ...]
    """One line for each task that couldn't be scored."""
    started: float
    """Unix time."""
    ended: float
    generation: dict[str, Any]
    """The sampling settings used."""

    @property
    def mean(self) -> float | None:
        """Mean reward of the scored rollouts; None without any."""
        if not self.rollouts:
            return None
        return math.fsum(rollout.reward for rollout in self.rollouts) / len(self.rollouts)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean; None with fewer than two scores."""
        mean, count = self.mean, len(self.rollouts)
        if mean is None or count < 2:
            return None
        squares = math.fsum((rollout.reward - mean) ** 2 for rollout in self.rollouts)
        return math.sqrt(squares / (count - 1) / count)

    def metrics(self) -> dict[str, float]:
        """Return the numbers under `eval/`; those that don't exist are left out."""
        numbers: dict[str, float | None] = {
            "eval/mean_reward": self.mean,
            "eval/standard_error": self.standard_error,
            "eval/n_scored": float(len(self.rollouts)),
            "eval/n_errored": float(len(self.errors)),
        }
        if self.rollouts:
            calls = [len(rollout.result.tool_records) for rollout in self.rollouts]
            correct = sum(rollout.reward >= 1.0 for rollout in self.rollouts)
            numbers["eval/percent_correct"] = correct / len(calls)
            numbers["eval/avg_tool_calls"] = sum(calls) / len(calls)
            numbers["eval/tool_use_rate"] = sum(count > 0 for count in calls) / len(calls)
        return {name: value for name, value in numbers.items() if value is not None}

    def samples(self) -> list[dict[str, Any]]:
        """Return one plain record for each task, the unscored ones included."""
        scored = [rollout_record(rollout) for rollout in self.rollouts]
        return scored + [{"type": "error", "message": message} for message in self.errors]


async def evaluate_items(
    runner: GroupRunner, items: Iterable[Item], *, temperature: float, concurrency: int
) -> EvaluationReport:
    """Roll out every task once and score it, at most `concurrency` at one time."""
    started = time.time()
    sampling = runner.sampling(temperature=temperature)
    tasks = list(items)
    outcomes: list[ScoredRollout | str] = ["not run"] * len(tasks)
    queue = iter(enumerate(tasks))

    async def work() -> None:
        for index, item in queue:
            name = f"eval-{index:06d}"
            try:
                group = await runner.run(item, group_id=name, group_size=1, sampling=sampling)
            except GroupLostError as error:
                outcomes[index] = str(error)
                runner.observer.group_lost(name, f"{error.reason.value}: {error}")
            else:
                outcomes[index] = group.rollouts[0]
                runner.observer.group_delivered(group)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(tasks))):
            workers.create_task(work())
    return EvaluationReport(
        rollouts=tuple(_scored(outcomes)),
        errors=tuple(outcome for outcome in outcomes if isinstance(outcome, str)),
        started=started,
        ended=time.time(),
        generation={"temperature": temperature, "top_p": sampling.top_p, "seed": sampling.seed},
    )


def _scored(outcomes: Sequence[ScoredRollout | str]) -> list[ScoredRollout]:
    return [outcome for outcome in outcomes if not isinstance(outcome, str)]
