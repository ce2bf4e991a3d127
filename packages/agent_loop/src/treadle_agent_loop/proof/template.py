"""Proves or refutes that a chat template only appends, by running the token ledger over it.

Each conversation is played with answers written as the template itself writes them. What the ledger
then says of the next prompt (it continues, it was rewritten, its boundary is soft) is what a
rollout would meet. A finite set of conversations: proof for these, evidence for others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from treadle_agent_loop.errors import ChatTemplateError
from treadle_agent_loop.history import reasoning_of
from treadle_agent_loop.model import Message
from treadle_agent_loop.proof.conversations import CONVERSATIONS, Conversation
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.guard import unguard
from treadle_agent_loop.tokens.ledger import TokenLedger
from treadle_agent_loop.tokens.planning import RewritePolicy
from treadle_agent_loop.tokens.spans import Provenance, Sample
from treadle_parsers import ToolSchema

_PADDED = "  probe7f3  "
_PROBE = "probe7f3"


class Outcome(StrEnum):
    """What became of one conversation."""

    APPENDED = "appended"
    """Every prompt continued the one before, id for id."""
    REWRITTEN = "rewritten"
    """The template changed text that was already sent or sampled."""
    REFUSED = "refused"
    """The template raised an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReport:
    """One conversation's outcome."""

    outcome: Outcome
    soft: int = 0
    """Boundaries at which the tokenizer could have merged across."""
    closes: int = 0
    """Closes that had to be synthesised."""
    detail: str = ""
    """The template's error, or the turn before which it rewrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateReport:
    """What was found out about a chat template."""

    cases: Mapping[str, CaseReport]
    ignores_tools: bool
    strips_content: bool
    default_system: str
    """The words it writes before the first user message unasked; empty when none."""

    @property
    def appends(self) -> bool:
        """Whether no conversation was rewritten."""
        return all(case.outcome is not Outcome.REWRITTEN for case in self.cases.values())

    @property
    def usable(self) -> bool:
        """Whether token-exact rollouts with tools can run on it."""
        needed = (self.cases["plain"], self.cases["tools"])
        refused = any(case.outcome is Outcome.REFUSED for case in needed)
        return not (refused or self.ignores_tools)

    @property
    def policy(self) -> RewritePolicy:
        """The policy that fits: `refuse` loses nothing where nothing is rewritten."""
        return RewritePolicy.REFUSE if self.appends else RewritePolicy.BRANCH


def check_template(tokenizer: ChatTokenizer) -> TemplateReport:
    """Play all conversations; takes about a second, so call it in a thread."""
    return TemplateReport(
        cases={name: _play(tokenizer, case) for name, case in CONVERSATIONS.items()},
        ignores_tools=_ignores_tools(tokenizer),
        strips_content=_strips(tokenizer),
        default_system=_default_system(tokenizer),
    )


def _play(tokenizer: ChatTokenizer, case: Conversation) -> CaseReport:
    ledger = TokenLedger(tokenizer)
    rewritten: list[int] = []
    history: list[Message] = []
    try:
        for index, message in enumerate(case.messages):
            if message["role"] != "assistant":
                history.append(message)
                continue
            plan = ledger.plan(history, case.tools)
            if plan.rewritten:
                rewritten.append(index)
            cut = case.truncated and not ledger.contexts
            sample = _sample(tokenizer, tuple(history), message, case.tools, cut=cut)
            ledger.commit(plan, sample)
            history.append(sample.message)
    except ChatTemplateError as error:
        return CaseReport(outcome=Outcome.REFUSED, detail=str(error))
    spans = [span for context in ledger.contexts for span in context.spans]
    return CaseReport(
        outcome=Outcome.REWRITTEN if rewritten else Outcome.APPENDED,
        soft=sum(span.soft for span in spans),
        closes=sum(span.kind is Provenance.SYNTHESISED for span in spans),
        detail=f"before message {rewritten[0]}" if rewritten else "",
    )


def _sample(
    tokenizer: ChatTokenizer,
    history: tuple[Message, ...],
    message: Message,
    tools: tuple[ToolSchema, ...],
    *,
    cut: bool,
) -> Sample:
    """Answer as the template would write it; cut off: without its last id and its close."""
    prompt = tokenizer.render(history, tools, generation_prompt=True)
    whole = tokenizer.render((*history, message), tools, generation_prompt=False)
    body, close = _plain_body(message), ""
    if whole.startswith(prompt):
        body = whole[len(prompt) :]
    ends = {body.rfind(token): token for token in tokenizer.closers if token in body}
    if ends:
        last = max(ends)
        body, close = body[:last], ends[last]
    elif whole.startswith(prompt):
        body = body.removesuffix(tokenizer.turn_tail)
    close = close or next(iter(sorted(tokenizer.closers)), "")
    ids = tokenizer.encode(body)
    if cut:
        ids, close = ids[:-1], ""
    text = tokenizer.decode(ids) if cut else unguard(body)
    said = {"role": "assistant", "content": text} if cut else message
    ended = (tokenizer.id_of(close),) if close else ()
    return Sample(
        ids=ids + ended,
        logprobs=(0.0,) * len(ids + ended),
        ended_by=close or None,
        text=text,
        message=said,
    )


def _plain_body(message: Message) -> str:
    thought = reasoning_of(message)
    return (f"<think>\n{thought}\n</think>\n\n" if thought else "") + str(message["content"])


def _ignores_tools(tokenizer: ChatTokenizer) -> bool:
    try:
        return tokenizer.ignores_tools
    except ChatTemplateError:
        return True


def _strips(tokenizer: ChatTokenizer) -> bool:
    """Whether spaces around a user's or an answer's content are lost."""
    messages: tuple[Message, ...] = (
        {"role": "user", "content": _PADDED},
        {"role": "assistant", "content": _PADDED},
        {"role": "user", "content": _PADDED},
    )
    try:
        text = tokenizer.render(messages, generation_prompt=True)
    except ChatTemplateError:
        return False
    return text.count(_PADDED) < text.count(_PROBE)


def _default_system(tokenizer: ChatTokenizer) -> str:
    """Return what stands before a lone user message, without control tokens and role names."""
    try:
        text = tokenizer.render(({"role": "user", "content": _PROBE},), generation_prompt=True)
    except ChatTemplateError:
        return ""
    head = text[: max(text.find(_PROBE), 0)]
    for token in sorted(tokenizer.control, key=len, reverse=True):
        head = head.replace(token, " ")
    words = " ".join(head.split())
    return words if len(re.findall(r"[^\W\d_]{2,}", words)) > 3 else ""
