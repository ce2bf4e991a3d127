"""Writes records as JSON lines, one line a record, on disk as soon as the rollout has finished."""

from dataclasses import asdict
from typing import Any

from treadle_agent_loop.record.lines import JsonLines
from treadle_agent_loop.record.record import VERSION, FailureRecord, Record, RolloutRecord
from treadle_agent_loop.record.segments import write_segment
from treadle_agent_loop.rollout import Compaction, ToolRecord, TurnRecord


def record_json(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON values, as `schema.json` describes them."""
    head = {
        "type": "rollout" if isinstance(record, RolloutRecord) else "failure",
        "version": VERSION,
        "rollout_id": record.rollout_id,
        "group_id": record.group_id,
        "item_id": record.item_id,
        "model": record.model,
        "seed": record.seed,
        "started": record.started,
    }
    if isinstance(record, FailureRecord):
        return {**head, "kind": record.kind, "message": record.message}
    return {**head, **_rollout(record)}


class RecordWriter:
    """Writes records to `lines`, which somebody else closes.

    A half-written line that was taken off the file becomes a failure record of the kind
    `TruncatedRecordError`, so that it is reported to whoever reads the file.
    """

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines
        if lines.torn:
            what = f"an earlier run was cut off while it wrote this line ({lines.torn} bytes)"
            self.write(FailureRecord(rollout_id="", kind="TruncatedRecordError", message=what))

    def write(self, record: Record) -> None:
        """Write one record; it is on disk when this returns.

        Raises:
            ValueError: it holds a number that isn't finite.
        """
        self._lines.write(record_json(record))


def _rollout(record: RolloutRecord) -> dict[str, Any]:
    result = record.result
    return {
        "reward": record.reward,
        "metrics": dict(record.metrics),
        "sampling": dict(record.sampling),
        "sandbox": dict(record.sandbox),
        "stop_reason": str(result.stop_reason),
        "turns": result.turns,
        "messages": list(result.messages),
        "tools": list(result.tools),
        "toolsets": list(result.toolsets),
        "tool_calls": [_tool_call(entry) for entry in result.tool_records],
        "turn_records": [_turn(entry) for entry in result.turn_records],
        "compactions": [_compaction(entry) for entry in result.compactions],
        "segments": [write_segment(segment) for segment in result.segments],
        "ledger": asdict(result.ledger),
        "usage": asdict(result.usage),
        "seconds": {
            "total": record.seconds,
            "model": result.model_seconds,
            "tools": result.tool_seconds,
        },
    }


def _tool_call(record: ToolRecord) -> dict[str, Any]:
    return {**asdict(record), "outcome": str(record.outcome)}


def _turn(record: TurnRecord) -> dict[str, Any]:
    reason = str(record.finish_reason)
    return {**asdict(record), "kind": str(record.kind), "finish_reason": reason}


def _compaction(record: Compaction) -> dict[str, Any]:
    return {
        "turn": record.turn,
        "policy": record.policy,
        "reason": str(record.reason),
        "before": list(record.before),
        "kept": record.kept,
    }
