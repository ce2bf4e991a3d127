"""One rollout on a token-exact engine: plan the prompt, sample, record, parse.

The ledger owns the ids. This session joins it to the wire and to the parser: the answer's text is
decoded from the sampled ids, its control token taken off, and read by the parser; every attempted
call gets an id that is unique in the conversation.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from treadle_agent_loop.errors import ChatTemplateError, ContextLengthError
from treadle_agent_loop.history import assistant_message
from treadle_agent_loop.model import (
    FinishReason,
    LedgerReport,
    Message,
    ModelTurn,
    SamplingParams,
    Segment,
    Usage,
)
from treadle_agent_loop.tokens.guard import unguard
from treadle_agent_loop.tokens.ledger import TokenLedger
from treadle_agent_loop.tokens.plan import PromptPlan
from treadle_agent_loop.tokens.spans import Sample
from treadle_agent_loop.transports import Completion
from treadle_parsers import ParsedMessage, ToolCall, ToolSchema

if TYPE_CHECKING:
    from treadle_agent_loop.token_client import TokenClient

_LONG = 20_000
"""Characters of a conversation from which on rendering and encoding leave the event loop."""
_PREFIX = 400
"""Characters of the prompt's end that the parser sees: more than any generation prompt has."""


class TokenSession:
    """A `ModelSession` that keeps a token ledger."""

    def __init__(self, client: "TokenClient") -> None:
        self._client = client
        self.ledger = TokenLedger(client.tokenizer, policy=client.rewrite_policy)
        self._turns = 0
        self._logprobs_mode = "unknown"

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> ModelTurn:
        """Answer the conversation; see `ModelSession.complete`.

        Raises:
            TokenProtocolError: the server's token data can't be trusted.
            HistoryRewrittenError: the template rewrote history and the policy is `refuse`.
            ChatTemplateError: the template ignores tools, or refuses the messages.
        """
        client = self._client
        facts = await client.check()
        if tools and client.tokenizer.ignores_tools:
            raise ChatTemplateError(
                "the chat template ignores tools, so the model would never see them; give another "
                "template (chat_template=)"
            )
        self._logprobs_mode = await client.logprobs_mode(sampling)
        await client.pace.enter()
        plan = await self._plan(messages, tools)
        bounded = _bounded(sampling, len(plan.ids), facts.context_length)
        turn, self._turns = self._turns, self._turns + 1
        completion = await client.complete(plan.ids, bounded, turn=turn)
        await client.pace.enter()
        answer = self._record(plan, completion)
        if completion.length_stop and bounded.max_tokens < sampling.max_tokens:
            return replace(answer, cut_by_context=True)
        return answer

    def segments(self) -> tuple[Segment, ...]:
        """Return every segment of the rollout; see `TokenLedger.segments`."""
        return self.ledger.segments()

    def report(self) -> LedgerReport:
        """Return the ledger's counts; see `TokenLedger.report`."""
        return self.ledger.report(logprobs=self._logprobs_mode)

    async def _plan(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> PromptPlan:
        size = sum(len(str(message.get("content"))) for message in messages)
        if size < _LONG:
            return self.ledger.plan(messages, tools)
        return await asyncio.to_thread(self.ledger.plan, messages, tools)

    def _record(self, plan: PromptPlan, completion: Completion) -> ModelTurn:
        ids = completion.ids
        ended_by = self._ended_by(completion)
        text = self._client.tokenizer.decode(ids[:-1] if ended_by is not None else ids)
        finish = FinishReason.LENGTH if completion.length_stop else FinishReason.STOP
        parsed = self._client.parser.parse(
            text, plan.tools, prefix=unguard(plan.text[-_PREFIX:]), finish_reason=str(finish)
        )
        calls = _with_unique_ids(parsed, plan.messages)
        message = assistant_message(parsed.content, parsed.reasoning, calls)
        sample = Sample(
            ids=ids,
            logprobs=completion.logprobs,
            ended_by=ended_by,
            text=text,
            message=message,
            weight_version=completion.weight_version,
        )
        self.ledger.commit(plan, sample)
        if calls and finish is FinishReason.STOP:
            finish = FinishReason.TOOL_CALLS
        return ModelTurn(
            message=message,
            tool_calls=calls,
            finish_reason=finish,
            usage=Usage(prompt_tokens=len(plan.ids), completion_tokens=len(ids)),
            seconds=completion.seconds,
        )

    def _ended_by(self, completion: Completion) -> str | None:
        """Return the control token that ended the turn: any, unless the token limit ended it."""
        tokenizer = self._client.tokenizer
        control = tokenizer.control_text(completion.ids[-1]) if completion.ids else None
        if completion.length_stop and control not in tokenizer.closers:
            return None
        return control


def _bounded(sampling: SamplingParams, prompt: int, context_length: int | None) -> SamplingParams:
    if context_length is None:
        return sampling
    room = context_length - prompt
    if room < 1:
        raise ContextLengthError(
            f"the prompt has {prompt} tokens and the context window {context_length}: there is no "
            "room for an answer"
        )
    return replace(sampling, max_tokens=min(sampling.max_tokens, room))


def _with_unique_ids(parsed: ParsedMessage, messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """Give every call an id that no earlier call of the conversation has."""
    taken = {
        str(entry.get("id"))
        for message in messages
        for entry in cast("list[dict[str, Any]]", message.get("tool_calls") or [])
    }
    calls: list[ToolCall] = []
    for call in parsed.tool_calls:
        name, suffix = call.id, 1
        while name in taken:
            suffix += 1
            name = f"{call.id}_{suffix}"
        taken.add(name)
        calls.append(call if name == call.id else replace(call, id=name))
    return tuple(calls)
