"""Segments and conservation counts as plain JSON values, and back."""

from collections.abc import Mapping
from typing import Any

from treadle_agent_loop.errors import SavedRolloutError
from treadle_agent_loop.model import LedgerReport, Segment, SegmentSpan
from treadle_agent_loop.record.fields import (
    as_integer,
    as_number,
    as_object,
    as_token,
    count_field,
    counts_field,
    list_field,
    optional_text,
    required,
    text_field,
)


def write_segment(segment: Segment) -> dict[str, Any]:
    """Return a segment as plain JSON values."""
    return {
        "tokens": list(segment.tokens),
        "masks": list(segment.masks),
        "logprobs": list(segment.logprobs),
        "turns": list(segment.turns),
        "origin": segment.origin,
        "parent": segment.parent,
        "spans": [_write_span(span) for span in segment.spans],
    }


def _write_span(span: SegmentSpan) -> dict[str, Any]:
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


def read_segment(value: Any) -> Segment:
    """Return a saved segment."""
    record = as_object(value, "a segment")
    parent = required(record, "parent")
    return Segment(
        tokens=tuple(as_token(entry) for entry in list_field(record, "tokens")),
        masks=tuple(as_integer(entry, "a mask") for entry in list_field(record, "masks")),
        logprobs=tuple(as_number(entry) for entry in list_field(record, "logprobs")),
        turns=tuple(as_integer(entry, "a turn") for entry in list_field(record, "turns")),
        origin=text_field(record, "origin"),
        parent=None if parent is None else as_integer(parent, "parent"),
        spans=tuple(_read_span(entry) for entry in list_field(record, "spans")),
    )


def _read_span(value: Any) -> SegmentSpan:
    record = as_object(value, "a span")
    soft = record.get("soft", False)
    if not isinstance(soft, bool):
        raise SavedRolloutError(f"soft is {soft!r}, not true or false")
    return SegmentSpan(
        kind=text_field(record, "kind"),
        length=count_field(record, "length"),
        turn=count_field(record, "turn"),
        message=count_field(record, "message"),
        soft=soft,
        ids_digest=optional_text(record, "ids_digest"),
        logprobs_digest=text_field(record, "logprobs_digest")
        if "logprobs_digest" in record
        else "",
    )


def read_ledger(record: Mapping[str, Any]) -> LedgerReport:
    """Return a saved conservation count."""
    return LedgerReport(
        sampled=count_field(record, "sampled"),
        trained=count_field(record, "trained"),
        dropped=counts_field(record, "dropped"),
        rendered=count_field(record, "rendered"),
        synthesised=count_field(record, "synthesised"),
        rewrites=count_field(record, "rewrites"),
        soft_boundaries=count_field(record, "soft_boundaries"),
        divergences=counts_field(record, "divergences"),
        logprobs=text_field(record, "logprobs"),
    )
