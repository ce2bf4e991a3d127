"""Reads one line of a saved run back into the ledger's records.

The line is what `treadle_envs` writes for a rollout. Types are checked here, meaning elsewhere;
fields that no proof needs are ignored.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from treadle_agent_loop.errors import SavedRolloutError
from treadle_agent_loop.model import LedgerReport, Message, Segment, SegmentSpan

_ID_LIMIT = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRollout:
    """What a saved rollout says about its tokens."""

    rollout_id: str
    turns: int
    completion_tokens: int
    messages: tuple[Message, ...]
    segments: tuple[Segment, ...]
    """Empty for a rollout on a server without token data."""
    ledger: LedgerReport


def read_rollout(line: bytes) -> SavedRollout | None:
    """Return the rollout on a line, or None for a record of another type (a failed rollout).

    Raises:
        SavedRolloutError: the line is no JSON object, or a field is missing or of a wrong type.
    """
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SavedRolloutError(f"the line is no JSON: {error}") from error
    record = _object(value, "the line")
    kind = _text(record, "type")
    if kind == "failure":
        return None
    if kind != "rollout":
        raise SavedRolloutError(f"the type is {kind!r}, neither 'rollout' nor 'failure'")
    messages = _list(record, "messages")
    return SavedRollout(
        rollout_id=_text(record, "rollout_id"),
        turns=_count(record, "turns"),
        completion_tokens=_count(_field_object(record, "usage"), "completion_tokens"),
        messages=tuple(_object(entry, "a message") for entry in messages),
        segments=tuple(_segment(entry) for entry in _list(record, "segments")),
        ledger=_ledger(_field_object(record, "ledger")),
    )


def _segment(value: Any) -> Segment:
    record = _object(value, "a segment")
    parent = _get(record, "parent")
    return Segment(
        tokens=tuple(_token(entry) for entry in _list(record, "tokens")),
        masks=tuple(_integer(entry, "a mask") for entry in _list(record, "masks")),
        logprobs=tuple(_number(entry) for entry in _list(record, "logprobs")),
        turns=tuple(_integer(entry, "a turn") for entry in _list(record, "turns")),
        origin=_text(record, "origin"),
        parent=None if parent is None else _integer(parent, "parent"),
        spans=tuple(_span(entry) for entry in _list(record, "spans")),
    )


def _span(value: Any) -> SegmentSpan:
    record = _object(value, "a span")
    soft = record.get("soft", False)
    if not isinstance(soft, bool):
        raise SavedRolloutError(f"soft is {soft!r}, not true or false")
    return SegmentSpan(
        kind=_text(record, "kind"),
        length=_count(record, "length"),
        turn=_count(record, "turn"),
        message=_count(record, "message"),
        soft=soft,
        ids_digest=_text(record, "ids_digest") if "ids_digest" in record else "",
        logprobs_digest=_text(record, "logprobs_digest") if "logprobs_digest" in record else "",
    )


def _ledger(record: Mapping[str, Any]) -> LedgerReport:
    return LedgerReport(
        sampled=_count(record, "sampled"),
        trained=_count(record, "trained"),
        dropped=_counts(record, "dropped"),
        rendered=_count(record, "rendered"),
        synthesised=_count(record, "synthesised"),
        rewrites=_count(record, "rewrites"),
        soft_boundaries=_count(record, "soft_boundaries"),
        divergences=_counts(record, "divergences"),
        logprobs=_text(record, "logprobs"),
    )


def _counts(record: Mapping[str, Any], name: str) -> dict[str, int]:
    counts = _field_object(record, name)
    return {key: _count(counts, key) for key in counts}


def _get(record: Mapping[str, Any], name: str) -> Any:
    if name not in record:
        raise SavedRolloutError(f"the field {name!r} is missing")
    return record[name]


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SavedRolloutError(f"{what} is a {type(value).__name__}, not an object")
    return cast("dict[str, Any]", value)


def _field_object(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return _object(_get(record, name), name)


def _list(record: Mapping[str, Any], name: str) -> list[Any]:
    value = _get(record, name)
    if not isinstance(value, list):
        raise SavedRolloutError(f"{name} is a {type(value).__name__}, not a list")
    return cast("list[Any]", value)


def _text(record: Mapping[str, Any], name: str) -> str:
    value = _get(record, name)
    if not isinstance(value, str):
        raise SavedRolloutError(f"{name} is {value!r}, not a string")
    return value


def _integer(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise SavedRolloutError(f"{what} is {value!r}, not an integer")
    return value


def _count(record: Mapping[str, Any], name: str) -> int:
    value = _integer(_get(record, name), name)
    if value < 0:
        raise SavedRolloutError(f"{name} is {value}, below 0")
    return value


def _token(value: Any) -> int:
    index = _integer(value, "a token")
    if not 0 <= index < _ID_LIMIT:
        raise SavedRolloutError(f"a token is {index}, which is no id")
    return index


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SavedRolloutError(f"a logprob is {value!r}, not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise SavedRolloutError("a logprob is too large for a number") from error
