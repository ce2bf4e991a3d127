"""Turns contexts into the segments a trainer gets, and proves that no sampled id was lost or
doubled.

Every context becomes exactly one segment. An id is trained when it was sampled in this context by a
call whose logprobs are sound; one unsound call makes its whole sequence context only.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from treadle_agent_loop.errors import LedgerError
from treadle_agent_loop.model import Segment, SegmentSpan
from treadle_agent_loop.tokens.evidence import DropReason
from treadle_agent_loop.tokens.spans import Context, Provenance, Span

MASKED = -100
UNTRAINED_LOGPROB = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One answered model call."""

    context: int
    sampled: int
    """Ids that the server says it sampled."""
    problem: DropReason | None
    """Why they can't be trained, if they can't."""
    weight_version: str | None = None
    """The version of the weights that sampled them, where the server tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Segments and the conservation count that goes with them."""

    segments: tuple[Segment, ...]
    sampled: int
    trained: int
    dropped: Mapping[str, int]


def export(contexts: Sequence[Context], calls: Sequence[CallRecord]) -> Export:
    """Export all contexts.

    Raises:
        LedgerError: sampled ids are not exactly the trained and the dropped ones.
    """
    tainted = {call.context for call in calls if call.problem is not None}
    segments = tuple(_segment(context, tainted=context.index in tainted) for context in contexts)
    dropped: Counter[str] = Counter()
    for call in calls:
        if call.context in tainted:
            dropped[call.problem or DropReason.TAINTED] += call.sampled
    sampled = sum(call.sampled for call in calls)
    trained = sum(mask != MASKED for segment in segments for mask in segment.masks)
    exported = [turn for segment in segments for turn in segment.turns]
    if sampled != trained + dropped.total() or len(exported) != len(set(exported)):
        raise LedgerError(
            f"{sampled} ids were sampled, but {trained} are trained and {dropped.total()} dropped; "
            "this rollout must not be trained on"
        )
    return Export(
        segments=segments,
        sampled=sampled,
        trained=trained,
        dropped={str(reason): count for reason, count in dropped.items() if count},
    )


def _segment(context: Context, *, tainted: bool) -> Segment:
    tokens: list[int] = []
    masks: list[int] = []
    logprobs: list[float] = []
    for span in context.spans:
        tokens += span.ids
        own = span.kind is Provenance.SAMPLED and span.call in context.own_calls
        if own and not tainted:
            masks += span.ids
            logprobs += span.logprobs
        else:
            masks += [MASKED] * len(span.ids)
            logprobs += [UNTRAINED_LOGPROB] * len(span.ids)
    if not len(tokens) == len(masks) == len(logprobs):
        raise LedgerError(f"context {context.index} has ids without logprobs")
    return Segment(
        tokens=tuple(tokens),
        masks=tuple(masks),
        logprobs=tuple(logprobs),
        turns=() if tainted else tuple(sorted(context.own_calls)),
        origin=str(context.origin),
        parent=context.parent,
        spans=tuple(_exported(span) for span in context.spans),
    )


def _exported(span: Span) -> SegmentSpan:
    return SegmentSpan(
        kind=str(span.kind),
        length=len(span.ids),
        turn=span.call,
        message=span.first_message,
        soft=span.soft,
        ids_digest=span.ids_digest,
        logprobs_digest=span.logprobs_digest,
    )
