"""Plans the next prompt: which known turn it goes on from, and which ids are added.

A plan changes nothing; the ledger commits it together with the answer. Planning is the expensive
part (it renders and encodes) and touches no shared state, so it may run in a thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

from treadle_agent_loop.errors import HistoryRewrittenError
from treadle_agent_loop.model import Message
from treadle_agent_loop.tokens.chain import text_digest
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.delta import Delta, find_delta, quick_delta
from treadle_agent_loop.tokens.guard import BREAK
from treadle_agent_loop.tokens.plan import Asked, Base, PromptPlan
from treadle_agent_loop.tokens.spans import Origin, Provenance, Span, Turn
from treadle_parsers import ToolSchema


class RewritePolicy(StrEnum):
    """What to do when the chat template rewrites text that was already sent."""

    BRANCH = "branch"
    """Begin a new segment with the template's own rendering; the earlier segments are exported too.
    """
    APPEND_ONLY = "append_only"
    """Keep the ids as they were sent and sampled, and append only what is new."""
    REFUSE = "refuse"
    """Raise `HistoryRewrittenError`."""


def plan_prompt(
    tokenizer: ChatTokenizer,
    policy: RewritePolicy,
    asked: Asked,
    base: Base | None,
    last_context: int | None,
    by_ids: Callable[[tuple[int, ...]], Base | None],
) -> PromptPlan:
    """Plan the prompt for a conversation that goes on from `base`, as far as its messages tell.

    `by_ids` finds a turn whose ids a prompt begins with. It is asked where messages don't tell all:
    when they hold answers that no known turn accounts for, or when the template rewrote.

    Raises:
        HistoryRewrittenError: the template rewrote history and the policy is `refuse`.
        ChatTemplateError: the template refuses the messages.
    """
    text = tokenizer.render(asked.messages, asked.tools, generation_prompt=True)
    if asked.answers_after(base):
        ids = tokenizer.encode(text)
        longer = by_ids(ids)
        if longer is not None and len(longer.ids) > (len(base.ids) if base is not None else 0):
            return _matched(asked, text, ids, longer)
    if base is None:
        origin = Origin.START if last_context is None else Origin.NEW_HISTORY
        return _begun(asked, text, tokenizer.encode(text), origin, last_context)
    turn = base.turn
    kept = text_digest(text[: turn.prompt_length]) == turn.prompt_digest
    delta = None
    if kept or policy is RewritePolicy.APPEND_ONLY:
        delta = _delta(tokenizer, asked.messages, asked.tools, text, turn, kept=kept)
    rewritten = not kept or delta is None or turn.reasoning not in delta.body
    if rewritten and policy is RewritePolicy.REFUSE:
        raise HistoryRewrittenError(
            f"the chat template rewrote text before message {turn.messages} that was already "
            "sent; choose the policy `branch` or `append_only`, or another template"
        )
    if delta is not None and (not rewritten or policy is RewritePolicy.APPEND_ONLY):
        return _continued(tokenizer, asked, text, base, delta, rewritten=rewritten)
    ids = tokenizer.encode(text)
    other = by_ids(ids)
    if other is not None:
        return _matched(asked, text, ids, other)
    return _begun(asked, text, ids, Origin.REWRITE, turn.context)


def _matched(asked: Asked, text: str, ids: tuple[int, ...], base: Base) -> PromptPlan:
    """Plan a prompt that is the template's whole rendering and begins with a context's ids."""
    last = len(asked.messages) - 1
    span = Span(
        kind=Provenance.RENDERED,
        ids=ids[len(base.ids) :],
        call=-1,
        first_message=min(base.turn.messages, last),
        last_message=last,
    )
    return PromptPlan(
        ids=ids,
        messages=asked.messages,
        tools=asked.tools,
        digests=asked.digests,
        base=base.turn,
        origin=Origin.FORK,
        parent=base.turn.context,
        added=(span,),
        text=text,
        injections=text.count(BREAK),
    )


def _continued(
    tokenizer: ChatTokenizer, asked: Asked, text: str, base: Base, delta: Delta, *, rewritten: bool
) -> PromptPlan:
    """Plan a prompt that is all ids of a context so far and what was added."""
    added = _added(tokenizer, delta, base.turn, base.ids, len(asked.messages))
    return PromptPlan(
        ids=base.ids + tuple(index for span in added for index in span.ids),
        messages=asked.messages,
        tools=asked.tools,
        digests=asked.digests,
        base=base.turn,
        origin=Origin.FORK,
        parent=base.turn.context,
        added=added,
        text=text,
        delta=delta,
        rewritten=rewritten,
        injections=delta.text.count(BREAK),
    )


def _begun(
    asked: Asked, text: str, ids: tuple[int, ...], origin: Origin, parent: int | None
) -> PromptPlan:
    """Plan a prompt that begins a context: the template's whole rendering."""
    last = len(asked.messages) - 1
    span = Span(kind=Provenance.RENDERED, ids=ids, call=-1, first_message=0, last_message=last)
    return PromptPlan(
        ids=ids,
        messages=asked.messages,
        tools=asked.tools,
        digests=asked.digests,
        base=None,
        origin=origin,
        parent=parent,
        added=(span,),
        text=text,
        rewritten=origin is Origin.REWRITE,
        injections=text.count(BREAK),
    )


def _delta(
    tokenizer: ChatTokenizer,
    messages: Sequence[Message],
    tools: Sequence[ToolSchema],
    current: str,
    turn: Turn,
    *,
    kept: bool,
) -> Delta | None:
    first_new = turn.messages
    marked = ""
    if first_new < len(messages):
        if kept:
            quick = quick_delta(
                current=current,
                content=tokenizer.guarded_content(messages[first_new]),
                calls=len(messages[first_new - 1].get("tool_calls") or ()),
                begin=turn.prompt_length,
                ending=turn.ending,
                closers=tokenizer.closers,
            )
            if quick is not None:
                return quick
        marked = tokenizer.render(messages, tools, generation_prompt=True, mark=first_new)
    return find_delta(
        current=current,
        marked=marked,
        without_new=lambda: tokenizer.render(messages[:first_new], tools, generation_prompt=False),
        begin=turn.prompt_length if kept else 0,
        ending=turn.ending,
        closers=tokenizer.closers,
        turn_tail=tokenizer.turn_tail,
    )


def _added(
    tokenizer: ChatTokenizer, delta: Delta, turn: Turn, before: tuple[int, ...], messages: int
) -> tuple[Span, ...]:
    """Encode a delta together with its close, so that nothing merges across."""
    last = max(messages - 1, turn.messages - 1)
    rendered = Span(
        kind=Provenance.RENDERED,
        ids=(),
        call=-1,
        first_message=min(turn.messages, last),
        last_message=last,
    )
    if delta.close is None:
        ids = tokenizer.encode(delta.text)
        at_control = bool(ids) and tokenizer.control_text(ids[0]) is not None
        soft = not at_control and turn.ending.control is None
        merges = soft and _merges(tokenizer, before[-8:], delta.text, ids)
        return (replace(rendered, ids=ids, soft=soft, merges=merges),)
    close = tokenizer.id_of(delta.close)
    ids = tokenizer.encode(delta.close + delta.text)
    if ids[:1] == (close,):
        rendered = replace(rendered, ids=ids[1:])
    else:
        rendered = replace(rendered, ids=tokenizer.encode(delta.text), soft=True, merges=True)
    if turn.ending.control == delta.close:
        return (rendered,)
    answer = turn.messages - 1
    synthesised = Span(
        kind=Provenance.SYNTHESISED,
        ids=(close,),
        call=-1,
        first_message=answer,
        last_message=answer,
    )
    return (synthesised, rendered)


def _merges(
    tokenizer: ChatTokenizer, tail: tuple[int, ...], text: str, ids: tuple[int, ...]
) -> bool:
    """Cross-check a soft boundary: would the tokenizer have merged over it?"""
    return tokenizer.encode(tokenizer.decode(tail) + text) != tail + ids
