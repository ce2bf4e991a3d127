"""Numbers of the training rollouts since the last report, under the names trainers know."""

from collections.abc import Mapping
from typing import Any

from treadle_agent_loop.rollout import ToolOutcome
from treadle_envs.records import ScoredGroup


class TrainMetrics:
    """Gathers groups and reports them; `train/total_rollouts` counts the whole run."""

    def __init__(self) -> None:
        self._total = 0
        self._rewards: list[float] = []
        self._tool_calls: list[int] = []
        self._tool_errors = 0

    def add(self, group: ScoredGroup) -> None:
        """Count a group's rollouts."""
        for rollout in group.rollouts:
            records = rollout.result.tool_records
            self._total += 1
            self._rewards.append(rollout.reward)
            self._tool_calls.append(len(records))
            self._tool_errors += sum(record.outcome is not ToolOutcome.OK for record in records)

    def report(self) -> dict[str, float]:
        """Return the numbers and begin anew."""
        metrics = {"train/total_rollouts": float(self._total)}
        if count := len(self._rewards):
            metrics |= {
                "train/percent_correct": sum(reward >= 1.0 for reward in self._rewards) / count,
                "train/mean_reward": sum(self._rewards) / count,
                "train/avg_tool_calls": sum(self._tool_calls) / count,
                "train/tool_use_rate": sum(calls > 0 for calls in self._tool_calls) / count,
                "train/tool_errors_count": float(self._tool_errors),
            }
        self._rewards, self._tool_calls, self._tool_errors = [], [], 0
        return metrics


def shown(metrics: Mapping[str, Any]) -> str:
    """Return metrics as one line for a log."""
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in metrics.items()
    )
