"""The main job as a user runs it: the app as a process, with nothing else started."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def check_group(group: dict[str, Any]) -> None:
    """Check the trajectory encoding: equal counts, masks, logprobs."""
    tokens, masks = group["tokens"], group["masks"]
    logprobs, scores = group["inference_logprobs"], group["scores"]
    assert len(tokens) == len(masks) == len(logprobs) == len(scores) > 0
    for ids, mask, values in zip(tokens, masks, logprobs, strict=True):
        assert len(ids) == len(mask) == len(values) > 0
        assert any(item != -100 for item in mask)
        for token, masked, logprob in zip(ids, mask, values, strict=True):
            assert masked in (-100, token)
            if masked == -100:
                assert logprob == 1.0
            else:
                assert math.isfinite(logprob)
                assert logprob <= 0


@pytest.mark.slow
def test_no_arguments_but_a_count_serves_scored_token_exact_groups(
    run_app: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run_app("--groups", "8", "--out", str(out), "--seed", "1")
    assert done.code == 0, done.err
    groups, rollouts = read_lines(out / "groups.jsonl"), read_lines(out / "rollouts.jsonl")
    assert len(groups) == 8
    for group in groups:
        check_group(group)
    delivered = {score for group in groups for score in group["scores"]}
    assert delivered <= {0.0, 1.0}
    with_call = [row for row in rollouts if row["tool_calls"]]
    assert len(with_call) >= 0.9 * len(rollouts)
    assert all(row["model"] and row["started"] and row["sampling"] for row in rollouts)
    assert sum(row["reward"] for row in rollouts) / len(rollouts) >= 0.6
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["sampled_tokens"] == summary["trained_tokens"] + sum(
        summary["dropped_tokens"].values()
    )
    assert str(out / "groups.jsonl") in done.out


@pytest.mark.slow
def test_process_writes_groups_of_the_real_problems(
    run_app: Callable[..., Any], tmp_path: Path, gsm8k_files: Path
) -> None:
    out = tmp_path / "out"
    data = str(gsm8k_files / "test.jsonl")
    done = run_app("--data", data, "process", "--groups", "2", "--out", str(out))
    assert done.code == 0, done.err
    groups = read_lines(out / "groups.jsonl")
    assert len(groups) == 2
    for group in groups:
        check_group(group)


@pytest.mark.slow
def test_evaluate_reports_the_share_of_correct_answers(
    run_app: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run_app("evaluate", "--groups", "20", "--out", str(out))
    assert done.code == 0, done.err
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    share = metrics["results"]["all"]["eval/percent_correct"]
    assert 0.6 <= share <= 1.0
    assert len(read_lines(out / "samples.jsonl")) == 20
