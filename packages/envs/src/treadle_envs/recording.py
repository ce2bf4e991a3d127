"""Writing a run to disk as JSON lines, one line per rollout, flushed line by line.

What has been written can be read while the run goes on, and a crash loses at most the line being
written. Logprobs and rewards are finite numbers, so every line is strict JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from treadle_agent_loop.model import Segment, SegmentSpan
from treadle_agent_loop.rollout import ToolRecord
from treadle_envs.observer import NullObserver
from treadle_envs.records import FailedRollout, ScoredRollout


class JsonLines:
    """An append-only JSON-lines file; a context manager. Parent folders are created."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one line and flush it."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RolloutRecorder(NullObserver):
    """An observer that writes every scored and every failed rollout as one line."""

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines

    def rollout_finished(self, rollout: ScoredRollout) -> None:
        """Write the rollout."""
        self._lines.write(rollout_record(rollout))

    def rollout_failed(self, failure: FailedRollout) -> None:
        """Write the failure."""
        self._lines.write(
            {
                "type": "failure",
                "rollout_id": failure.rollout_id,
                "group_id": failure.group_id,
                "kind": failure.kind,
                "message": failure.message,
            }
        )


def rollout_record(rollout: ScoredRollout) -> dict[str, Any]:
    """Return a scored rollout as plain JSON values."""
    result = rollout.result
    return {
        "type": "rollout",
        "rollout_id": rollout.rollout_id,
        "group_id": rollout.group_id,
        "item_id": rollout.item_id,
        "reward": rollout.reward,
        "metrics": dict(rollout.metrics),
        "stop_reason": result.stop_reason.value,
        "turns": result.turns,
        "isolation": rollout.isolation,
        "messages": list(result.messages),
        "tool_calls": [_tool_record(record) for record in result.tool_records],
        "segments": [_segment_record(segment) for segment in result.segments],
        "ledger": asdict(result.ledger),
        "usage": {
            "prompt_tokens": result.usage.prompt_tokens,
            "completion_tokens": result.usage.completion_tokens,
        },
        "seconds": {
            "total": rollout.seconds,
            "model": result.model_seconds,
            "tools": result.tool_seconds,
        },
    }


def _tool_record(record: ToolRecord) -> dict[str, Any]:
    return {
        "turn": record.turn,
        "name": record.name,
        "arguments": record.arguments,
        "call_id": record.call_id,
        "outcome": record.outcome.value,
        "result": record.result,
        "seconds": record.seconds,
    }


def _segment_record(segment: Segment) -> dict[str, Any]:
    return {
        "tokens": list(segment.tokens),
        "masks": list(segment.masks),
        "logprobs": list(segment.logprobs),
        "turns": list(segment.turns),
        "origin": segment.origin,
        "parent": segment.parent,
        "spans": [_span_record(span) for span in segment.spans],
    }


def _span_record(span: SegmentSpan) -> dict[str, Any]:
    """Leave out what a span doesn't have: there are many of them."""
    record: dict[str, Any] = {
        "kind": span.kind,
        "length": span.length,
        "turn": span.turn,
        "message": span.message,
    }
    if span.soft:
        record["soft"] = True
    if span.ids_digest:
        record["ids_digest"] = span.ids_digest
    if span.logprobs_digest:
        record["logprobs_digest"] = span.logprobs_digest
    return record
