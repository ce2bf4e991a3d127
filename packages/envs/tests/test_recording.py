"""Rollouts on disk."""

import json
from pathlib import Path

import pytest

from treadle_agent_loop.model import LedgerReport, Segment, SegmentSpan, Usage
from treadle_agent_loop.rollout import RolloutResult, StopReason, ToolOutcome, ToolRecord
from treadle_envs.recording import JsonLines, RolloutRecorder
from treadle_envs.records import FailedRollout, ScoredRollout

ROLLOUT = ScoredRollout(
    rollout_id="g/0",
    group_id="g",
    item_id="i",
    reward=1.0,
    isolation="bubblewrap",
    seconds=1.5,
    metrics={"tool_calls": 1.0},
    result=RolloutResult(
        messages=({"role": "user", "content": "zwölf ✓"},),
        stop_reason=StopReason.FINISHED,
        turns=1,
        tool_records=(
            ToolRecord(
                turn=0,
                name="python",
                arguments="{}",
                call_id="c",
                outcome=ToolOutcome.OK,
                result="12",
                seconds=0.1,
            ),
        ),
        segments=(
            Segment(
                tokens=(1, 2),
                masks=(-100, 2),
                logprobs=(1.0, -0.5),
                turns=(0,),
                spans=(
                    SegmentSpan(kind="rendered", length=1, turn=0, message=0, soft=True),
                    SegmentSpan(
                        kind="sampled",
                        length=1,
                        turn=0,
                        message=1,
                        ids_digest="ab",
                        logprobs_digest="cd",
                    ),
                ),
            ),
        ),
        ledger=LedgerReport(sampled=1, trained=1, rendered=1),
        usage=Usage(prompt_tokens=1, completion_tokens=1),
        model_seconds=1.0,
        tool_seconds=0.2,
    ),
)


def test_every_line_is_on_disk_as_soon_as_it_is_written(tmp_path: Path):
    path = tmp_path / "deep" / "rollouts.jsonl"
    with JsonLines(path) as lines:
        recorder = RolloutRecorder(lines)
        recorder.rollout_finished(ROLLOUT)
        recorder.rollout_failed(
            FailedRollout(rollout_id="g/1", group_id="g", kind="ModelServerError", message="down")
        )
        written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rollout, failure = written
    assert rollout["messages"][0]["content"] == "zwölf ✓"
    assert rollout["segments"] == [
        {
            "tokens": [1, 2],
            "masks": [-100, 2],
            "logprobs": [1.0, -0.5],
            "turns": [0],
            "origin": "start",
            "parent": None,
            "spans": [
                {"kind": "rendered", "length": 1, "turn": 0, "message": 0, "soft": True},
                {
                    "kind": "sampled",
                    "length": 1,
                    "turn": 0,
                    "message": 1,
                    "ids_digest": "ab",
                    "logprobs_digest": "cd",
                },
            ],
        }
    ]
    assert rollout["ledger"] == {
        "sampled": 1,
        "trained": 1,
        "dropped": {},
        "rendered": 1,
        "synthesised": 0,
        "rewrites": 0,
        "soft_boundaries": 0,
        "divergences": {},
        "logprobs": "unknown",
    }
    assert rollout["stop_reason"] == "finished"
    assert rollout["tool_calls"][0]["outcome"] == "ok"
    assert rollout["seconds"] == {"total": 1.5, "model": 1.0, "tools": 0.2}
    assert failure["type"] == "failure"
    assert failure["kind"] == "ModelServerError"


def test_what_is_no_json_is_refused(tmp_path: Path):
    with JsonLines(tmp_path / "x.jsonl") as lines, pytest.raises(ValueError, match="JSON"):
        lines.write({"reward": float("nan")})
