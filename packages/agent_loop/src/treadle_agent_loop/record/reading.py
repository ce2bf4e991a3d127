"""Reads records back, of this and of every older version.

Version 0 are the lines written before records had a version: they lack the model, seed, sampling,
turns and compactions, and name the isolation level at the top. What a version doesn't have is empty
in the record that is read from it.
"""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from treadle_agent_loop.errors import SavedRolloutError, TruncatedRecordError
from treadle_agent_loop.model import FinishReason, Usage
from treadle_agent_loop.record.fields import (
    as_integer,
    as_number,
    as_object,
    count_field,
    list_field,
    number_field,
    object_field,
    objects_field,
    optional_text,
    required,
    text_field,
    texts_field,
)
from treadle_agent_loop.record.record import VERSION, FailureRecord, Record, RolloutRecord
from treadle_agent_loop.record.segments import read_ledger, read_segment
from treadle_agent_loop.rollout import (
    Compaction,
    RolloutResult,
    StopReason,
    ToolOutcome,
    ToolRecord,
    TurnKind,
    TurnRecord,
)

Kind = TypeVar("Kind", bound=StrEnum)


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file, line by line; memory is bounded by the longest line.

    Raises:
        TruncatedRecordError: the last line is half written; every whole line was yielded before.
        SavedRolloutError: a line is no record; the message names the line and the field.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if is_torn(line):
                raise TruncatedRecordError(
                    f"{path}: line {number}, the last, is half written ({len(line)} bytes): the "
                    "run was cut off while it wrote; the lines before are whole"
                )
            try:
                yield read_record(line)
            except SavedRolloutError as error:
                raise SavedRolloutError(f"{path}: line {number}: {error}") from error


def read_record(line: bytes | str) -> Record:
    """Return the record on one line.

    Raises:
        SavedRolloutError: the line is no record of a known version; the message names the field.
    """
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SavedRolloutError(f"the line is no JSON: {error}") from error
    record = as_object(value, "the line")
    version = as_integer(record.get("version", 0), "version")
    if not 0 <= version <= VERSION:
        raise SavedRolloutError(
            f"the version is {version}, this package reads up to {VERSION}; install a newer one"
        )
    kind = text_field(record, "type")
    if kind == "failure":
        return _failure(record)
    if kind != "rollout":
        raise SavedRolloutError(f"the type is {kind!r}, neither 'rollout' nor 'failure'")
    return _rollout(record, version)


def is_torn(line: bytes) -> bool:
    """Whether a line is half written: it has no end, and what there is is no JSON."""
    if line.endswith(b"\n"):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _failure(record: Mapping[str, Any]) -> FailureRecord:
    return FailureRecord(
        rollout_id=text_field(record, "rollout_id"),
        kind=text_field(record, "kind"),
        message=text_field(record, "message"),
        group_id=optional_text(record, "group_id"),
        item_id=optional_text(record, "item_id"),
        model=optional_text(record, "model"),
        seed=_seed(record),
        started=optional_text(record, "started"),
    )


def _rollout(record: Mapping[str, Any], version: int) -> RolloutRecord:
    reward = required(record, "reward")
    metrics = object_field(record, "metrics")
    if version == 0:
        sandbox = {"isolation": text_field(record, "isolation")} if "isolation" in record else {}
    else:
        sandbox = object_field(record, "sandbox")
    return RolloutRecord(
        rollout_id=text_field(record, "rollout_id"),
        result=_result(record, version),
        reward=None if reward is None else as_number(reward, "reward"),
        metrics={name: as_number(value, name) for name, value in metrics.items()},
        group_id=optional_text(record, "group_id"),
        item_id=optional_text(record, "item_id"),
        model=optional_text(record, "model"),
        seed=_seed(record),
        sampling=object_field(record, "sampling") if version else {},
        sandbox=sandbox,
        seconds=number_field(object_field(record, "seconds"), "total"),
        started=optional_text(record, "started"),
    )


def _result(record: Mapping[str, Any], version: int) -> RolloutResult:
    seconds = object_field(record, "seconds")
    usage = object_field(record, "usage")
    return RolloutResult(
        messages=tuple(objects_field(record, "messages")),
        stop_reason=_member(StopReason, record, "stop_reason"),
        turns=count_field(record, "turns"),
        tool_records=tuple(_tool_call(entry) for entry in objects_field(record, "tool_calls")),
        segments=tuple(read_segment(entry) for entry in list_field(record, "segments")),
        ledger=read_ledger(object_field(record, "ledger")),
        usage=_usage(usage),
        model_seconds=number_field(seconds, "model"),
        tool_seconds=number_field(seconds, "tools"),
        turn_records=tuple(_turn(entry) for entry in _newer(record, "turn_records", version)),
        compactions=tuple(_compaction(entry) for entry in _newer(record, "compactions", version)),
        tools=texts_field(record, "tools"),
        toolsets=texts_field(record, "toolsets"),
    )


def _newer(record: Mapping[str, Any], name: str, version: int) -> list[dict[str, Any]]:
    return objects_field(record, name) if version else []


def _tool_call(record: Mapping[str, Any]) -> ToolRecord:
    valid = record.get("schema_valid", True)
    return ToolRecord(
        turn=count_field(record, "turn"),
        name=text_field(record, "name"),
        arguments=text_field(record, "arguments"),
        call_id=text_field(record, "call_id"),
        outcome=_member(ToolOutcome, record, "outcome"),
        result=text_field(record, "result"),
        seconds=number_field(record, "seconds"),
        schema_valid=bool(valid),
        kept_at=optional_text(record, "kept_at"),
    )


def _turn(record: Mapping[str, Any]) -> TurnRecord:
    return TurnRecord(
        index=count_field(record, "index"),
        kind=_member(TurnKind, record, "kind"),
        finish_reason=_member(FinishReason, record, "finish_reason"),
        tool_calls=count_field(record, "tool_calls"),
        usage=_usage(object_field(record, "usage")),
        planning_seconds=number_field(record, "planning_seconds"),
        model_seconds=number_field(record, "model_seconds"),
        tool_seconds=number_field(record, "tool_seconds"),
    )


def _compaction(record: Mapping[str, Any]) -> Compaction:
    return Compaction(
        turn=count_field(record, "turn"),
        policy=text_field(record, "policy"),
        reason=_member(StopReason, record, "reason"),
        before=tuple(objects_field(record, "before")),
        kept=count_field(record, "kept"),
    )


def _usage(record: Mapping[str, Any]) -> Usage:
    return Usage(
        prompt_tokens=count_field(record, "prompt_tokens"),
        completion_tokens=count_field(record, "completion_tokens"),
    )


def _seed(record: Mapping[str, Any]) -> int | None:
    value = record.get("seed")
    return None if value is None else as_integer(value, "seed")


def _member(kind: type[Kind], record: Mapping[str, Any], name: str) -> Kind:
    text = text_field(record, name)
    try:
        return kind(text)
    except ValueError as error:
        known = ", ".join(kind)
        raise SavedRolloutError(f"{name} is {text!r}, none of {known}") from error
