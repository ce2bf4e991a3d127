"""Counting a run, showing it, and the check of its tokens."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from treadle_agent_loop.model import LedgerReport, Usage
from treadle_agent_loop.rollout import RolloutResult, StopReason
from treadle_envs.errors import ConservationError
from treadle_envs.records import FailedRollout, LossReason, ScoredRollout
from treadle_envs.serving.statistics import RunStatistics
from treadle_envs.serving.summary import check_conservation, render_summary, write_summary
from treadle_envs.serving.view import Gauges, line, table


def rollout(reward: float, ledger: LedgerReport, name: str = "g/0") -> ScoredRollout:
    result = RolloutResult(
        messages=({"role": "user", "content": "?"},),
        stop_reason=StopReason.FINISHED,
        turns=1,
        tool_records=(),
        segments=(),
        ledger=ledger,
        usage=Usage(),
        model_seconds=0.0,
        tool_seconds=0.0,
    )
    return ScoredRollout(
        rollout_id=name,
        group_id="g",
        item_id="i",
        reward=reward,
        result=result,
        isolation="namespaces",
        seconds=1.0,
    )


def counted() -> RunStatistics:
    statistics = RunStatistics(target_groups=3)
    for index, reward in enumerate((1.0, 0.0)):
        statistics.rollout_started(f"g/{index}", "g")
        ledger = LedgerReport(sampled=10, trained=8, dropped={"no_logprob": 2})
        statistics.rollout_finished(rollout(reward, ledger, f"g/{index}"))
    statistics.rollout_started("g/2", "g")
    failure = FailedRollout(
        rollout_id="g/2", group_id="g", kind="ModelServerError", message="gone [now]"
    )
    statistics.rollout_failed(failure)
    statistics.group_lost("g", f"{LossReason.ROLLOUT_FAILED.value}: the server is gone")
    return statistics


def test_a_failed_rollout_enters_no_mean() -> None:
    statistics = counted()
    assert statistics.mean_reward == 0.5
    assert statistics.rollouts == 2
    assert statistics.errors == {"ModelServerError": 1}
    assert statistics.groups_lost == {"rollout_failed": 1}
    assert statistics.in_flight == set()


def test_a_stopped_run_loses_no_group() -> None:
    statistics = RunStatistics()
    statistics.group_lost("g", LossReason.CANCELLED.value)
    assert statistics.groups_lost == {}


def test_nothing_scored_has_no_mean_rather_than_zero() -> None:
    statistics = RunStatistics()
    assert statistics.mean_reward is None
    assert "mean reward -" in line(statistics, Gauges())


def test_line_and_table_show_the_same_readings() -> None:
    gauges = Gauges(slots_used=1, slots_total=8, queue=2)
    console = Console(width=120, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    with console.file:
        console.print(table(counted(), gauges))
    shown = console.export_text()
    for reading in ("0 of 3 delivered", "0.500", "1/8 slots, namespaces", "ModelServerError 1"):
        assert reading in shown
        assert reading in line(counted(), gauges)
    assert "gone [now]" in shown


def test_unaccounted_tokens_fail_the_run() -> None:
    statistics = counted()
    check_conservation(statistics)
    statistics.rollout_finished(rollout(1.0, LedgerReport(sampled=5, trained=4)))
    with pytest.raises(ConservationError, match="25 tokens were sampled but 24"):
        check_conservation(statistics)


def test_the_summary_is_written_and_printed(tmp_path: Path) -> None:
    path = write_summary(counted(), tmp_path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["mean_reward"] == 0.5
    assert record["dropped_tokens"] == {"no_logprob": 4}
    text = render_summary(counted(), [path, tmp_path / "absent"])
    assert str(path) in text
    assert "absent" not in text
    assert "20 sampled = 16 trained + 4 dropped (no_logprob 4)" in text
