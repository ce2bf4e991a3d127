"""Proves a simulated rollout's promises against what the engine wrote down.

The oracle for ids is the engine's own record of prompts and answers, for text the template's real
rendering, for control tokens the rendering of the same conversation with harmless content.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from treadle_agent_loop.model import Message, Segment
from treadle_agent_loop.proof.layout import lay_out
from treadle_agent_loop.proof.saved import SavedRollout
from treadle_agent_loop.proof.tokens import check_tokens
from treadle_agent_loop.testing.simulation.engine import toy_logprobs
from treadle_agent_loop.testing.simulation.play import Simulated
from treadle_agent_loop.tokens.guard import unguard
from treadle_agent_loop.tokens.planning import RewritePolicy
from treadle_agent_loop.tokens.spans import Context, Provenance


class UnprovenError(AssertionError):
    """A promise of the token ledger doesn't hold for a simulated rollout."""


def prove(rollout: Simulated) -> None:
    """Check every promise.

    Raises:
        UnprovenError: one doesn't hold; the message says which, and where.
    """
    for problem in _problems(rollout):
        raise UnprovenError(f"{rollout.family}, {rollout.policy}: {problem}")


def _problems(rollout: Simulated) -> Iterator[str]:
    segments = rollout.session.segments()
    yield from _answers(rollout, segments)
    for index, segment in enumerate(segments):
        for problem in _values(segment):
            yield f"segment {index}: {problem}"
    yield from _conservation(rollout, segments)
    for breach in check_tokens(_saved(rollout, segments)):
        yield f"saved: {breach.promise}: {breach.what}"
    for context in rollout.session.ledger.contexts:
        yield from _texts(rollout, context)


def _answers(rollout: Simulated, segments: Sequence[Segment]) -> Iterator[str]:
    """Every answer stands in one segment, after exactly the prompt it answered."""
    found: Counter[int] = Counter()
    for layout in lay_out(segments):
        for placed in layout.spans:
            if not placed.sampled:
                continue
            given = rollout.engine.delivered[placed.span.turn]
            tokens = layout.segment.tokens
            if tokens[: placed.start] != given.prompt:
                yield f"turn {placed.span.turn} was answered to another prompt"
            if tokens[placed.start : placed.end] != given.ids:
                yield f"turn {placed.span.turn} sampled other ids"
            found[placed.span.turn] += placed.own
    if found != Counter(range(len(rollout.engine.delivered))):
        yield f"{len(rollout.engine.delivered)} answers were given, the segments own {found}"


def _values(segment: Segment) -> Iterator[str]:
    right = toy_logprobs((), segment.tokens)
    for place, mask in enumerate(segment.masks):
        if mask == -100:
            if segment.logprobs[place] != 1.0:
                yield f"the untrained id at {place} has a logprob"
        elif mask != segment.tokens[place] or segment.logprobs[place] != right[place]:
            yield f"the id at {place} is trained with another id or logprob"


def _conservation(rollout: Simulated, segments: Sequence[Segment]) -> Iterator[str]:
    given = sum(len(answer.ids) for answer in rollout.engine.delivered)
    trained = sum(mask != -100 for segment in segments for mask in segment.masks)
    report = rollout.session.report()
    dropped = sum(report.dropped.values())
    if not given == report.sampled == trained + dropped or report.trained != trained:
        yield f"{given} ids were given, {trained} are trained and {dropped} dropped"
    exported = [turn for segment in segments for turn in segment.turns]
    if len(exported) != len(set(exported)):
        yield f"turns are trained twice: {exported}"


def _texts(rollout: Simulated, context: Context) -> Iterator[str]:
    """What was rendered is the end of the template's own rendering, with its control tokens."""
    tokenizer = rollout.session.ledger.tokenizer
    for before, span in pairwise([None, *context.spans]):
        if span is None or span.kind is not Provenance.RENDERED:
            continue
        messages, tools = rollout.asked[span.call]
        whole = tokenizer.render(messages, tools, generation_prompt=True)
        text = tokenizer.decode(span.ids)
        if not unguard(whole).endswith(text):
            yield f"call {span.call}: {text[-80:]!r} isn't the end of the template's rendering"
        if before is None and text != unguard(whole):
            yield f"call {span.call}: the prompt isn't the template's rendering"
        if before is None and rollout.policy is RewritePolicy.BRANCH:
            yield from _controls(rollout, span.call, span.ids)


def _controls(rollout: Simulated, call: int, ids: Sequence[int]) -> Iterator[str]:
    """A prompt has the control tokens that it would have with harmless content."""
    tokenizer = rollout.session.ledger.tokenizer
    messages, tools = rollout.asked[call]
    if any(message["role"] == "assistant" for message in messages):
        return  # templates read an answer's own markers
    plain: list[Message] = [
        {**message, "content": "x" if str(message["content"]).strip() else ""}
        for message in messages
    ]
    expected = tokenizer.encode(tokenizer.render(plain, tools, generation_prompt=True))
    control = {tokenizer.id_of(text) for text in tokenizer.control}
    counts = [Counter(index for index in seq if index in control) for seq in (ids, expected)]
    if counts[0] != counts[1]:
        yield f"call {call}: content wrote control tokens: {counts[0] - counts[1]}"


def _saved(rollout: Simulated, segments: tuple[Segment, ...]) -> SavedRollout:
    messages = rollout.asked[-1][0] if rollout.asked else ()
    return SavedRollout(
        rollout_id="simulated",
        turns=len(rollout.engine.delivered),
        completion_tokens=sum(len(answer.ids) for answer in rollout.engine.delivered),
        messages=(*messages, {"role": "assistant", "content": ""}),
        segments=segments,
        ledger=rollout.session.report(),
    )
