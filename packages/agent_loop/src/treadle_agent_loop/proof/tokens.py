"""Proves the ledger's promises again from a saved rollout, without model or tokenizer.

Ids are compared with the digests taken when they were sent and sampled; masks, logprobs, turns and
counts are derived anew from the spans and compared with what was saved.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from treadle_agent_loop.model import Segment, SegmentSpan
from treadle_agent_loop.proof.breach import Breach, Promise
from treadle_agent_loop.proof.layout import Layout, Placed, lay_out
from treadle_agent_loop.proof.saved import SavedRollout
from treadle_agent_loop.tokens.digests import digest_ids, digest_logprobs
from treadle_agent_loop.tokens.evidence import DropReason, judge
from treadle_agent_loop.tokens.export import MASKED, UNTRAINED_LOGPROB
from treadle_agent_loop.tokens.spans import Origin, Provenance

_LOGPROBS = frozenset({"processed", "raw", "unknown"})


def check_tokens(rollout: SavedRollout) -> Iterator[Breach]:
    """Yield every broken promise; nothing for a rollout without tokens or with sound ones."""
    malformed = [
        Breach(promise=Promise.PROVENANCE, what=f"segment {index}: {what}")
        for index, segment in enumerate(rollout.segments)
        for what in _malformed(segment)
    ]
    if malformed:
        yield from malformed
        return
    layouts = lay_out(rollout.segments)
    for layout in layouts:
        yield from _named(Promise.PREFIX, layout, _prefix(layout, layouts))
        yield from _named(Promise.PROVENANCE, layout, _provenance(layout))
        yield from _named(Promise.EVIDENCE, layout, _evidence(layout))
    for what in _answers(rollout, layouts):
        yield Breach(promise=Promise.PROVENANCE, what=what)
    for what in _conservation(rollout, layouts):
        yield Breach(promise=Promise.CONSERVATION, what=what)
    for what in _delta(rollout, layouts):
        yield Breach(promise=Promise.DELTA, what=what)
    if rollout.ledger.logprobs not in _LOGPROBS:
        what = f"the kind of logprobs is {rollout.ledger.logprobs!r}"
        yield Breach(promise=Promise.EVIDENCE, what=what)


def _named(promise: Promise, layout: Layout, found: Iterator[str]) -> Iterator[Breach]:
    for what in found:
        yield Breach(promise=promise, what=f"segment {layout.index}: {what}")


def _malformed(segment: Segment) -> Iterator[str]:
    count = len(segment.tokens)
    if not count == len(segment.masks) == len(segment.logprobs):
        yield (
            f"{count} tokens, {len(segment.masks)} masks and {len(segment.logprobs)} logprobs; "
            "they must be as many"
        )
    covered = sum(span.length for span in segment.spans)
    if covered != count:
        yield f"the spans cover {covered} of {count} tokens"
    known = {str(kind) for kind in Provenance}
    for span in segment.spans:
        if span.kind not in known:
            yield f"a span is {span.kind!r}, which is no provenance"
    if segment.origin not in {str(origin) for origin in Origin}:
        yield f"the origin is {segment.origin!r}, which is none"
    if not segment.spans or segment.spans[-1].kind != Provenance.SAMPLED:
        yield "it doesn't end with sampled ids"


def _prefix(layout: Layout, layouts: Sequence[Layout]) -> Iterator[str]:
    segment = layout.segment
    for placed in layout.spans:
        if placed.sampled and placed.span.ids_digest != digest_ids(segment.tokens[: placed.end]):
            yield (
                f"the ids up to {placed.end} are not those sent and sampled in turn "
                f"{placed.span.turn}"
            )
    if (segment.parent is None) != (segment.origin == Origin.START):
        yield f"the origin is {segment.origin!r} and the parent {segment.parent}"
    elif layout.index == 0 and segment.origin != Origin.START:
        yield f"the first segment's origin is {segment.origin!r}"
    if segment.parent is not None and not 0 <= segment.parent < layout.index:
        yield f"the parent is {segment.parent}, which is no earlier segment"
        return
    shared = [placed for placed in layout.spans if not placed.own]
    if bool(shared) != (segment.origin == Origin.FORK):
        yield f"the origin is {segment.origin!r}, and it shares {len(shared)} spans with others"
    elif shared and segment.parent is not None:
        parent = layouts[segment.parent].segment
        end = shared[-1].end
        spans = tuple(placed.span for placed in shared)
        same = parent.tokens[:end] == segment.tokens[:end]
        if not same or parent.spans[: len(spans)] != spans:
            yield f"it doesn't begin as its parent, segment {segment.parent}, does"


def _provenance(layout: Layout) -> Iterator[str]:
    segment = layout.segment
    trained = bool(segment.turns)
    if trained and segment.turns != layout.own_turns:
        yield f"it trains turns {segment.turns}, but its own are {layout.own_turns}"
    for placed in layout.spans:
        trains = trained and placed.sampled and placed.own
        for place in range(placed.start, placed.end):
            expected = segment.tokens[place] if trains else MASKED
            if segment.masks[place] != expected:
                yield (
                    f"the mask at {place} is {segment.masks[place]}, not {expected} "
                    f"({placed.span.kind}, turn {placed.span.turn})"
                )
            if not trains and segment.logprobs[place] != UNTRAINED_LOGPROB:
                yield f"the untrained id at {place} has the logprob {segment.logprobs[place]}"
    yield from _order([placed.span for placed in layout.spans])


def _order(spans: Sequence[SegmentSpan]) -> Iterator[str]:
    """Check that spans follow each other as prompts and answers do."""
    if spans[0].kind != Provenance.RENDERED or spans[0].message != 0:
        yield "it doesn't begin with the rendering of its first message"
    for before, after in pairwise(spans):
        answered = before.kind == Provenance.SAMPLED
        if after.turn < before.turn or (after.turn > before.turn) != answered:
            yield f"a span of turn {after.turn} follows one of turn {before.turn}"
        if after.kind == Provenance.SAMPLED and after.message <= before.message:
            yield f"the answer of turn {after.turn} is message {after.message}"
        elif answered and not before.message <= after.message <= before.message + 1:
            yield f"the prompt of turn {after.turn} goes on at message {after.message}"
        if after.kind == Provenance.SYNTHESISED and (not answered or after.length != 1):
            yield f"turn {after.turn} has a synthesised close of {after.length} ids, out of place"


def _answers(rollout: SavedRollout, layouts: Sequence[Layout]) -> Iterator[str]:
    """Check that turns are answers in the saved conversation, where there is only one."""
    origins = [layout.segment.origin for layout in layouts]
    own = (placed.span for layout in layouts for placed in layout.spans if _counts(placed))
    answers = [span.message for span in sorted(own, key=lambda span: span.turn)]
    branched = any(after <= before for before, after in pairwise(answers))
    if branched or any(origin != Origin.REWRITE for origin in origins[1:]):
        return
    for layout in layouts:
        for placed in filter(_counts, layout.spans):
            index = placed.span.message
            saved = rollout.messages[index] if index < len(rollout.messages) else {}
            if saved.get("role") != "assistant":
                yield f"message {index}, sampled in turn {placed.span.turn}, is no saved answer"


def _evidence(layout: Layout) -> Iterator[str]:
    segment = layout.segment
    if not segment.turns:
        return
    for placed in layout.spans:
        if not (placed.sampled and placed.own):
            continue
        ids = segment.tokens[placed.start : placed.end]
        logprobs = segment.logprobs[placed.start : placed.end]
        problem = judge(ids, logprobs)
        if problem is not None or any(value > 0 for value in logprobs):
            yield f"turn {placed.span.turn} is trained with unsound logprobs ({problem})"
        elif placed.span.logprobs_digest != digest_logprobs(logprobs):
            yield f"the logprobs of turn {placed.span.turn} are not those that were sampled"


def _conservation(rollout: SavedRollout, layouts: Sequence[Layout]) -> Iterator[str]:
    ledger = rollout.ledger
    own = [placed for layout in layouts for placed in layout.spans if _counts(placed)]
    sampled = sum(placed.span.length for placed in own)
    trained = sum(mask != MASKED for layout in layouts for mask in layout.segment.masks)
    dropped = sum(ledger.dropped.values())
    if (ledger.sampled, ledger.trained) != (sampled, trained):
        yield (
            f"the ledger counts {ledger.sampled} sampled and {ledger.trained} trained ids, the "
            f"segments hold {sampled} and {trained}"
        )
    if sampled != trained + dropped:
        yield f"{sampled} ids were sampled, {trained} are trained and {dropped} dropped"
    for reason in ledger.dropped.keys() - {str(reason) for reason in DropReason}:
        yield f"ids were dropped for {reason!r}, which is no reason"
    turns = sorted(placed.span.turn for placed in own)
    if turns != list(range(len(turns))):
        yield f"the sampled turns are {turns}, not each of 0 to {len(turns) - 1} once"
    if layouts and rollout.turns != len(turns):
        yield f"the rollout has {rollout.turns} turns, its segments {len(turns)}"
    if layouts and rollout.completion_tokens != sampled:
        yield f"the usage is {rollout.completion_tokens} completion tokens, {sampled} were sampled"


def _counts(placed: Placed) -> bool:
    return placed.sampled and placed.own


def _delta(rollout: SavedRollout, layouts: Sequence[Layout]) -> Iterator[str]:
    spans = [placed.span for layout in layouts for placed in layout.spans]
    ledger = rollout.ledger
    rendered = sum(span.length for span in spans if span.kind == Provenance.RENDERED)
    closes = sum(span.kind == Provenance.SYNTHESISED for span in spans)
    soft = sum(span.soft for span in spans)
    for name, counted, found in (
        ("rendered ids", ledger.rendered, rendered),
        ("synthesised closes", ledger.synthesised, closes),
        ("soft boundaries", ledger.soft_boundaries, soft),
    ):
        if counted != found:
            yield f"the ledger counts {counted} {name}, the segments hold {found}"
    rewritten = sum(layout.segment.origin == Origin.REWRITE for layout in layouts)
    if ledger.rewrites < rewritten:
        yield f"the ledger counts {ledger.rewrites} rewrites, {rewritten} segments began with one"
