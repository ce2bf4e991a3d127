"""Measures where sampled turns differ from what the chat template would have written for them.

The ledger always keeps what was sampled. The count says how far that is from a canonical rendering,
by class, so that a parser that moves text about or a template that drops thinking shows up as a
number. A turn is compared when the next prompt is planned, which shows the template's writing of
it; only turns that nothing went on from are rendered at the end.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from treadle_agent_loop.errors import ChatTemplateError
from treadle_agent_loop.model import Message
from treadle_agent_loop.tokens.chain import text_digest
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.divergence import Divergence, classify
from treadle_agent_loop.tokens.guard import unguard
from treadle_agent_loop.tokens.plan import Measured, PromptPlan
from treadle_agent_loop.tokens.spans import Context, Sample, Turn
from treadle_parsers import ToolSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    turn: Turn
    sample: Sample
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]


class TurnMeter:
    """The meter of one ledger."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._answered: list[_Answered] = []
        self._measured: dict[int, Measured] = {}
        self._injections = 0

    def measure(self, plan: PromptPlan) -> Measured | None:
        """Compare the turn that a plan goes on from; changes nothing, so a thread may do it."""
        if plan.base is None or plan.delta is None:
            return None
        known = self._measured.get(plan.base.call)
        if known is not None:
            return known
        sample = self._answered[plan.base.call].sample
        return Measured(close=plan.delta.close, difference=self._compare(sample, plan.delta.body))

    def note(self, plan: PromptPlan, turn: Turn, sample: Sample) -> None:
        """Record an answered plan."""
        messages = (*plan.messages, sample.message)
        self._answered.append(
            _Answered(turn=turn, sample=sample, messages=messages, tools=plan.tools)
        )
        self._injections += plan.injections
        if plan.base is not None and plan.measured is not None:
            self._measured[plan.base.call] = plan.measured

    def counts(self, contexts: Sequence[Context]) -> dict[str, int]:
        """Return the turns that differ, by class, as far as the template's writing is known."""
        counts: Counter[str] = Counter()
        if self._injections:
            counts[Divergence.INJECTION] = self._injections
        merges = sum(span.merges for context in contexts for span in context.spans)
        if merges:
            counts[Divergence.BPE] = merges
        for answered in self._answered:
            measured = self._measured.get(answered.turn.call)
            closed = answered.sample.ended_by
            if closed is None or (measured is not None and measured.close != closed):
                counts[Divergence.EOS] += 1
            difference = measured.difference if measured is not None else self._last(answered)
            if difference is not None:
                counts[difference] += 1
        return {str(kind): count for kind, count in counts.items()}

    def _last(self, answered: _Answered) -> Divergence | None:
        body = self._final_body(answered)
        return self._compare(answered.sample, body) if body is not None else None

    def _final_body(self, answered: _Answered) -> str | None:
        """Render a conversation up to an answer; None when its prompt comes out otherwise."""
        tokenizer, turn = self._tokenizer, answered.turn
        try:
            text = tokenizer.render(answered.messages, answered.tools, generation_prompt=False)
        except ChatTemplateError:
            return None
        if text_digest(text[: turn.prompt_length]) != turn.prompt_digest:
            return None
        body = text[turn.prompt_length :]
        ends = [body.rfind(close) for close in tokenizer.closers if close in body]
        return body[: max(ends)] if ends else body.removesuffix(tokenizer.turn_tail)

    def _compare(self, sample: Sample, body: str) -> Divergence | None:
        ids = sample.ids[:-1] if sample.ended_by is not None else sample.ids
        has_calls = bool(sample.message.get("tool_calls"))
        difference = classify(sample.text, unguard(body), has_calls=has_calls)
        if difference is None and self._tokenizer.encode(body) != ids:
            return Divergence.BPE
        return difference
