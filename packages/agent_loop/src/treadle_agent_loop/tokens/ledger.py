"""The token ledger of one rollout: every id that was sent or sampled, once, with its provenance.

Promises (checked on every run, a breach raises `LedgerError`):

- prefix: a prompt in a known context is that context's ids plus what was added, id for id;
- provenance: every id is rendered, sampled or a synthesised close, and knows its call and message;
- conservation: sampled ids = trained ids over all segments + dropped ids by reason;
- delta: added ids come from the real template over the real conversation, after the turn's close;
- no injection: message content never writes a control token (see `guard`);
- evidence: ids without a sound logprob are never trained.

A conversation is matched to what is known by meaning, longest first, so a scaffold that
re-serialises its history keeps the sampled ids. Anything else opens a linked context, and all
contexts are exported.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from treadle_agent_loop.errors import ChatTemplateError, LedgerError
from treadle_agent_loop.history import reasoning_of
from treadle_agent_loop.model import LedgerReport, Message, Segment
from treadle_agent_loop.tokens.chain import chain_digests, text_digest
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.delta import Delta, Ending
from treadle_agent_loop.tokens.digests import digest_ids, digest_logprobs
from treadle_agent_loop.tokens.evidence import judge, settled
from treadle_agent_loop.tokens.export import CallRecord, Export, export
from treadle_agent_loop.tokens.guard import unguard
from treadle_agent_loop.tokens.meter import Divergence, classify
from treadle_agent_loop.tokens.planning import Asked, Base, PromptPlan, RewritePolicy, plan_prompt
from treadle_agent_loop.tokens.spans import Context, Provenance, Span, Turn
from treadle_parsers import ToolSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the server answered to one prompt, and the message made of it."""

    ids: tuple[int, ...]
    logprobs: Sequence[float | None] | None
    """One per id as the server sent them; None when it sent none."""
    ended_by: str | None
    """The control token that the ids end with, when the model ended its turn with one."""
    text: str
    """The decoded ids, without that token."""
    message: Message
    weight_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """A turn to be compared with the template's own writing."""

    turn: Turn
    sample: Sample
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]


class TokenLedger:
    """Plans prompts, records answers, exports segments."""

    def __init__(
        self, tokenizer: ChatTokenizer, *, policy: RewritePolicy = RewritePolicy.BRANCH
    ) -> None:
        self.tokenizer = tokenizer
        self.policy = policy
        self._contexts: list[Context] = []
        self._calls: list[CallRecord] = []
        self._turns: dict[bytes, Turn] = {}
        self._answered: list[_Answered] = []
        self._deltas: dict[int, Delta] = {}
        self._rewrites = 0
        self._injections = 0

    @property
    def contexts(self) -> tuple[Context, ...]:
        """The contexts so far, in order of their beginning."""
        return tuple(self._contexts)

    def plan(self, messages: Sequence[Message], tools: Sequence[ToolSchema] = ()) -> PromptPlan:
        """Plan the prompt for a conversation; changes nothing, so it may run in a thread.

        Raises:
            HistoryRewrittenError: the template rewrote history and the policy is `refuse`.
            ChatTemplateError: the template refuses the messages.
        """
        digests = tuple(chain_digests(messages))
        known = next((self._turns[key] for key in reversed(digests) if key in self._turns), None)
        base = None
        if known is not None:
            spans = self._contexts[known.context].spans[: known.spans]
            base = Base(turn=known, ids=tuple(index for span in spans for index in span.ids))
        return plan_prompt(
            self.tokenizer,
            self.policy,
            Asked(messages=tuple(messages), tools=tuple(tools), digests=digests),
            base,
            len(self._contexts) - 1 if self._contexts else None,
        )

    def commit(self, plan: PromptPlan, sample: Sample) -> int:
        """Record the answer to a planned prompt; return the index of the call.

        Raises:
            LedgerError: the plan's prompt doesn't begin with the ids of its context.
        """
        call = len(self._calls)
        context = self._context_for(plan)
        context.spans += [replace(span, call=call) for span in plan.added]
        if context.ids() != plan.ids:
            raise LedgerError(f"the prompt of call {call} doesn't continue context {context.index}")
        problem = judge(sample.ids, sample.logprobs)
        sound = settled(sample.logprobs or ()) if problem is None else ()
        context.spans.append(
            Span(
                kind=Provenance.SAMPLED,
                ids=sample.ids,
                call=call,
                first_message=len(plan.messages),
                last_message=len(plan.messages),
                logprobs=sound,
                ids_digest=digest_ids(plan.ids + sample.ids),
                logprobs_digest=digest_logprobs(sound) if problem is None else "",
            )
        )
        context.own_calls.add(call)
        self._calls.append(
            CallRecord(
                context=context.index,
                sampled=len(sample.ids),
                problem=problem,
                weight_version=sample.weight_version,
            )
        )
        self._remember(plan, sample, context, call)
        return call

    def segments(self) -> tuple[Segment, ...]:
        """Return all segments, context-only ones included.

        Raises:
            LedgerError: the conservation of sampled ids doesn't hold.
        """
        return self._export().segments

    def report(self, *, logprobs: str = "unknown") -> LedgerReport:
        """Return the counts over all calls so far; `logprobs` is passed through.

        Raises:
            LedgerError: the conservation of sampled ids doesn't hold.
        """
        exported = self._export()
        spans = [span for context in self._contexts for span in context.spans]
        return LedgerReport(
            sampled=exported.sampled,
            trained=exported.trained,
            dropped=dict(exported.dropped),
            rendered=sum(len(span.ids) for span in spans if span.kind is Provenance.RENDERED),
            synthesised=sum(span.kind is Provenance.SYNTHESISED for span in spans),
            rewrites=self._rewrites,
            soft_boundaries=sum(span.soft for span in spans),
            divergences=self._divergences(),
            logprobs=logprobs,
        )

    def _context_for(self, plan: PromptPlan) -> Context:
        base = plan.base
        if base is not None and base.spans == len(self._contexts[base.context].spans):
            return self._contexts[base.context]
        shared = self._contexts[base.context].spans[: base.spans] if base is not None else []
        context = Context(
            index=len(self._contexts), origin=plan.origin, parent=plan.parent, spans=list(shared)
        )
        self._contexts.append(context)
        return context

    def _remember(self, plan: PromptPlan, sample: Sample, context: Context, call: int) -> None:
        reasoning = reasoning_of(sample.message).strip()
        turn = Turn(
            call=call,
            context=context.index,
            spans=len(context.spans),
            messages=len(plan.messages) + 1,
            prompt_length=len(plan.text),
            prompt_digest=text_digest(plan.text),
            ending=Ending(control=sample.ended_by, text=sample.text[-64:]),
            reasoning=self.tokenizer.guarded_assistant(reasoning),
        )
        messages = (*plan.messages, sample.message)
        self._turns[chain_digests((sample.message,), after=plan.digests[-1])[0]] = turn
        self._answered.append(
            _Answered(turn=turn, sample=sample, messages=messages, tools=plan.tools)
        )
        self._rewrites += plan.rewritten
        self._injections += plan.injections
        if plan.base is not None and plan.delta is not None:
            self._deltas[plan.base.call] = plan.delta

    def _export(self) -> Export:
        return export(self._contexts, self._calls)

    def _divergences(self) -> dict[str, int]:
        """Compare every turn with the template's writing of it, as far as that is known."""
        counts: Counter[str] = Counter()
        if self._injections:
            counts[Divergence.INJECTION] = self._injections
        merges = sum(span.merges for context in self._contexts for span in context.spans)
        if merges:
            counts[Divergence.BPE] = merges
        for answered in self._answered:
            delta = self._deltas.get(answered.turn.call)
            closed = answered.sample.ended_by
            if closed is None or (delta is not None and delta.close != closed):
                counts[Divergence.EOS] += 1
            body = delta.body if delta is not None else self._final_body(answered)
            difference = self._compare(answered.sample, body) if body is not None else None
            if difference is not None:
                counts[difference] += 1
        return {str(kind): count for kind, count in counts.items()}

    def _final_body(self, answered: _Answered) -> str | None:
        """Render a conversation up to an answer; None when its prompt comes out otherwise."""
        turn = answered.turn
        try:
            text = self.tokenizer.render(answered.messages, answered.tools, generation_prompt=False)
        except ChatTemplateError:
            return None
        if text_digest(text[: turn.prompt_length]) != turn.prompt_digest:
            return None
        body = text[turn.prompt_length :]
        ends = [body.rfind(close) for close in self.tokenizer.closers if close in body]
        return body[: max(ends)] if ends else body.removesuffix(self.tokenizer.turn_tail)

    def _compare(self, sample: Sample, body: str) -> Divergence | None:
        ids = sample.ids[:-1] if sample.ended_by is not None else sample.ids
        has_calls = bool(sample.message.get("tool_calls"))
        difference = classify(sample.text, unguard(body), has_calls=has_calls)
        if difference is None and self.tokenizer.encode(body) != ids:
            return Divergence.BPE
        return difference
