"""What to do when a conversation outgrows the model's context: the context policies.

A policy shortens a conversation and never tears a tool call from its replies: it works on whole
turns, an assistant message with the replies to its calls. The opening (everything before the first
turn) always stays. On a token-exact client a shortened conversation opens a new linked segment; the
segments before it are exported and trained all the same.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from treadle_agent_loop.budgets import conversation_size
from treadle_agent_loop.errors import ContextLengthError
from treadle_agent_loop.model import Message

Turn = tuple[Message, ...]
"""An assistant message and the replies to its calls."""

DEFAULT_REQUEST = (
    "The conversation is getting too long, so earlier messages will be removed. Write a summary "
    "to go on from: what the task asks, what you have done and found out so far (files, commands, "
    "results, exact values), and what is still to do. Do not call a tool."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation in the parts that matter to a policy."""

    task: tuple[Message, ...]
    """The opening as the rollout began with it."""
    opening: tuple[Message, ...]
    """The opening now: `task`, or what an earlier compaction made of it."""
    turns: tuple[Turn, ...]

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation."""
        return (*self.opening, *(message for turn in self.turns for message in turn))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortened:
    """What a policy made of a conversation."""

    opening: tuple[Message, ...]
    turns: tuple[Turn, ...]
    """The last turns of the conversation, unchanged."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole shortened conversation."""
        return (*self.opening, *(message for turn in self.turns for message in turn))


Ask = Callable[[Sequence[Message]], Awaitable[str]]
"""Has the model answer a conversation and returns the content, empty when nothing is left to
generate. Raises ContextLengthError when the conversation is too long."""


class ContextPolicy(Protocol):
    """Shortens conversations; keeps no state of a rollout."""

    @property
    def name(self) -> str:
        """The policy's name on the record."""
        ...

    async def shorten(self, conversation: Conversation, room: int, ask: Ask) -> Shortened | None:
        """Return a shorter conversation of about `room` characters, or None when there is none.

        None ends the rollout with the stop reason that called for it.
        """
        ...


class StopAtLimit:
    """Shorten nothing: the rollout ends, and every token of it stays in one context."""

    name = "none"

    async def shorten(self, conversation: Conversation, room: int, ask: Ask) -> Shortened | None:
        """Return None."""
        return None


class DropOldest:
    """Leave out the oldest turns, as many as needed; the last one always stays."""

    name = "drop_oldest"

    async def shorten(self, conversation: Conversation, room: int, ask: Ask) -> Shortened | None:
        """Return the opening and the last turns that fit."""
        turns = _last_that_fit(conversation.turns, room - conversation_size(conversation.opening))
        if len(turns) == len(conversation.turns):
            turns = turns[1:]
        if not turns:
            return None
        return Shortened(opening=conversation.opening, turns=turns)


class Summarise:
    """Have the model summarise its own work, and go on from the task, the summary and the last
    turns.

    The summary is a turn of the rollout: it is sampled, counted and trained like any other. When
    the conversation is too long even for that, the oldest turns are left out of what is summarised;
    when the model writes no summary, the oldest turns are dropped instead.
    """

    name = "summarise"

    def __init__(self, *, keep_turns: int = 1, request: str = DEFAULT_REQUEST) -> None:
        """`keep_turns` last turns go on unchanged; `request` is what the model is asked."""
        if keep_turns < 0:
            raise ValueError(f"keep_turns must not be negative, but is {keep_turns}")
        self.keep_turns = keep_turns
        self.request = request

    async def shorten(self, conversation: Conversation, room: int, ask: Ask) -> Shortened | None:
        """Return the task with the summary, and the last turns."""
        kept = conversation.turns[len(conversation.turns) - self.keep_turns :]
        if len(kept) == len(conversation.turns):
            return None
        summary = await self._summary(conversation, ask)
        if not summary:
            return await DropOldest().shorten(conversation, room, ask)
        kept = _last_that_fit(kept, room - len(summary) - conversation_size(conversation.task))
        return Shortened(opening=_with_summary(conversation.task, summary), turns=kept)

    async def _summary(self, conversation: Conversation, ask: Ask) -> str:
        turns = conversation.turns
        request: Message = {"role": "user", "content": self.request}
        while turns:
            messages = (message for turn in turns for message in turn)
            try:
                return (await ask([*conversation.opening, *messages, request])).strip()
            except ContextLengthError:
                turns = turns[(len(turns) + 1) // 2 :]
        return ""


def split(messages: Sequence[Message], *, opening: int, task: tuple[Message, ...]) -> Conversation:
    """Take a conversation apart; its first `opening` messages are the opening."""
    turns: list[list[Message]] = []
    for message in messages[opening:]:
        if message["role"] == "assistant" or not turns:
            turns.append([])
        turns[-1].append(message)
    return Conversation(
        task=task, opening=tuple(messages[:opening]), turns=tuple(tuple(turn) for turn in turns)
    )


def _last_that_fit(turns: tuple[Turn, ...], room: int) -> tuple[Turn, ...]:
    """Return the last turns of at most `room` characters, but at least one."""
    first = len(turns)
    for index in range(len(turns) - 1, -1, -1):
        room -= conversation_size(turns[index])
        if room < 0 and first < len(turns):
            break
        first = index
    return turns[first:]


def _with_summary(task: tuple[Message, ...], summary: str) -> tuple[Message, ...]:
    """Put a summary at the end of the opening's last user message.

    Two user messages in a row are refused by the templates of several models.
    """
    note = f"[Earlier messages were removed. Your own summary of them:]\n{summary}"
    last = task[-1]
    if last["role"] == "user" and isinstance(last.get("content"), str):
        return (*task[:-1], {**last, "content": f"{last['content']}\n\n{note}"})
    return (*task, {"role": "user", "content": note})
