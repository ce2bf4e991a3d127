"""Reads one line of a saved run back into the ledger's records.

The line is a rollout record of any version (see `treadle_agent_loop.record`). Types are checked
here, meaning elsewhere; fields that no proof needs are ignored.
"""

import json
from dataclasses import dataclass
from typing import Any

from treadle_agent_loop.errors import SavedRolloutError
from treadle_agent_loop.model import LedgerReport, Message, Segment
from treadle_agent_loop.record.fields import (
    as_object,
    count_field,
    list_field,
    object_field,
    text_field,
)
from treadle_agent_loop.record.segments import read_ledger, read_segment


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
    record = as_object(value, "the line")
    kind = text_field(record, "type")
    if kind == "failure":
        return None
    if kind != "rollout":
        raise SavedRolloutError(f"the type is {kind!r}, neither 'rollout' nor 'failure'")
    messages = list_field(record, "messages")
    return SavedRollout(
        rollout_id=text_field(record, "rollout_id"),
        turns=count_field(record, "turns"),
        completion_tokens=count_field(object_field(record, "usage"), "completion_tokens"),
        messages=tuple(as_object(entry, "a message") for entry in messages),
        segments=tuple(read_segment(entry) for entry in list_field(record, "segments")),
        ledger=read_ledger(object_field(record, "ledger")),
    )
