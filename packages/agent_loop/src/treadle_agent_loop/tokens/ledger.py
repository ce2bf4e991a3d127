"""The token ledger of one rollout: every id that was sent or sampled, once, with its provenance.

Promises (checked on every run, a breach raises `LedgerError`):

- prefix: a prompt in a known context is that context's ids plus what was added, id for id;
- provenance: every id is rendered, sampled or a synthesised close, and knows its call and message;
- conservation: sampled ids = trained ids over all segments + dropped ids by reason;
- delta: added ids come from the real template over the real conversation, after the turn's close;
- no injection: message content never writes a control token (see `guard`);
- evidence: ids without a sound logprob are never trained.

A conversation is matched to what is known by meaning and by ids, longest first (see `matching`), so
a scaffold that re-serialises its history keeps the sampled ids. Anything else opens a linked
context, and all contexts are exported.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from treadle_agent_loop.errors import LedgerError
from treadle_agent_loop.history import reasoning_of
from treadle_agent_loop.model import LedgerReport, Message, Segment
from treadle_agent_loop.tokens.chain import chain_digests, text_digest
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.delta import Ending
from treadle_agent_loop.tokens.digests import digest_ids, digest_logprobs
from treadle_agent_loop.tokens.evidence import judge, settled
from treadle_agent_loop.tokens.export import CallRecord, Export, export
from treadle_agent_loop.tokens.matching import KnownTurns
from treadle_agent_loop.tokens.meter import TurnMeter
from treadle_agent_loop.tokens.plan import Asked, Base, PromptPlan
from treadle_agent_loop.tokens.planning import RewritePolicy, plan_prompt
from treadle_agent_loop.tokens.spans import Context, Provenance, Sample, Span, Turn
from treadle_parsers import ToolSchema


class TokenLedger:
    """Plans prompts, records answers, exports segments."""

    def __init__(
        self, tokenizer: ChatTokenizer, *, policy: RewritePolicy = RewritePolicy.BRANCH
    ) -> None:
        self.tokenizer = tokenizer.at(datetime.now())
        self.policy = policy
        self._contexts: list[Context] = []
        self._calls: list[CallRecord] = []
        self._known = KnownTurns()
        self._meter = TurnMeter(self.tokenizer)
        self._rewrites = 0

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
        known = self._known.by_messages(
            digests, self._contexts, lambda place: self._reasoning(messages[place])
        )
        plan = plan_prompt(
            self.tokenizer,
            self.policy,
            Asked(messages=tuple(messages), tools=tuple(tools), digests=digests),
            self._base(known),
            len(self._contexts) - 1 if self._contexts else None,
            lambda ids: self._base(self._known.by_ids(ids, self._contexts, messages=len(messages))),
        )
        return replace(plan, measured=self._meter.measure(plan))

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
            divergences=self._meter.counts(self._contexts),
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

    def _base(self, turn: Turn | None) -> Base | None:
        if turn is None:
            return None
        spans = self._contexts[turn.context].spans[: turn.spans]
        return Base(turn=turn, ids=tuple(index for span in spans for index in span.ids))

    def _reasoning(self, message: Message) -> str:
        return self.tokenizer.guarded_assistant(reasoning_of(message).strip())

    def _remember(self, plan: PromptPlan, sample: Sample, context: Context, call: int) -> None:
        turn = Turn(
            call=call,
            context=context.index,
            spans=len(context.spans),
            messages=len(plan.messages) + 1,
            prompt_length=len(plan.text),
            prompt_digest=text_digest(plan.text),
            ending=Ending(control=sample.ended_by, text=sample.text[-64:]),
            reasoning=self._reasoning(sample.message),
        )
        self._known.add(chain_digests((sample.message,), after=plan.digests[-1])[0], turn)
        self._meter.note(plan, turn, sample)
        self._rewrites += plan.rewritten

    def _export(self) -> Export:
        return export(self._contexts, self._calls)
