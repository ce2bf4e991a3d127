"""The end of a run: what happened, in a file and in a few printed lines."""

import json
from pathlib import Path
from typing import Any

from treadle_envs.errors import ConservationError
from treadle_envs.serving.statistics import RunStatistics
from treadle_envs.serving.view import counts


def check_conservation(statistics: RunStatistics) -> None:
    """Check that every sampled token was exported or dropped for a named reason.

    Raises:
        ConservationError: the counts differ.
    """
    accounted = statistics.trained_tokens + statistics.dropped_tokens.total()
    if statistics.sampled_tokens != accounted:
        raise ConservationError(
            f"{statistics.sampled_tokens} tokens were sampled but {accounted} are accounted for "
            f"({statistics.trained_tokens} trained, dropped: {counts(statistics.dropped_tokens)}); "
            "don't train on this run and report it"
        )


def as_record(statistics: RunStatistics) -> dict[str, Any]:
    """The counts of a run as JSON data."""
    return {
        "groups_delivered": statistics.groups_delivered,
        "groups_lost": dict(statistics.groups_lost),
        "rollouts": statistics.rollouts,
        "mean_reward": statistics.mean_reward,
        "tool_use_rate": statistics.tool_use_rate,
        "tool_calls": statistics.tool_calls,
        "sampled_tokens": statistics.sampled_tokens,
        "trained_tokens": statistics.trained_tokens,
        "dropped_tokens": dict(statistics.dropped_tokens),
        "stop_reasons": dict(statistics.stop_reasons),
        "errors": dict(statistics.errors),
        "isolation": statistics.isolation,
        "seconds": round(statistics.seconds, 3),
    }


def write_summary(statistics: RunStatistics, out: Path) -> Path:
    """Write `summary.json` into the run's folder and return its path."""
    path = out / "summary.json"
    path.write_text(json.dumps(as_record(statistics), indent=2) + "\n", encoding="utf-8")
    return path


def render_summary(statistics: RunStatistics, files: list[Path]) -> str:
    """The lines that close a run."""
    reward = "-" if statistics.mean_reward is None else f"{statistics.mean_reward:.3f}"
    tools = "-" if statistics.tool_use_rate is None else f"{statistics.tool_use_rate:.3f}"
    lines = [
        f"groups delivered  {statistics.groups_delivered} (lost: {counts(statistics.groups_lost)})",
        f"rollouts          {statistics.rollouts} (errors: {counts(statistics.errors)})",
        f"mean reward       {reward}",
        f"tool use          {tools} of rollouts, {statistics.tool_calls} calls",
        f"tokens            {statistics.sampled_tokens:,} sampled = {statistics.trained_tokens:,} "
        f"trained + {statistics.dropped_tokens.total():,} dropped "
        f"({counts(statistics.dropped_tokens)})",
        f"sandbox           {statistics.isolation or '-'}",
        f"time              {statistics.seconds:.1f} s",
    ]
    return "\n".join([*lines, *(f"wrote             {path}" for path in files if path.exists())])
