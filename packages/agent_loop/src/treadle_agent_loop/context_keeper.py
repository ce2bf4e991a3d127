"""Keeps a rollout's conversation within its context: measures it, has the policy shorten it."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass

from treadle_agent_loop.budgets import ContextGauge, conversation_size
from treadle_agent_loop.compaction import Ask, ContextPolicy, split
from treadle_agent_loop.model import Message, ModelTurn
from treadle_agent_loop.rollout import Compaction, StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """A shortened conversation and the record of it."""

    messages: tuple[Message, ...]
    record: Compaction


class ContextKeeper:
    """The context of one rollout."""

    def __init__(
        self, task: Sequence[Message], policy: ContextPolicy, max_tokens: int | None
    ) -> None:
        """`max_tokens` is the context budget; without one, only the server's refusals count."""
        self._task = tuple(task)
        self._opening = len(task)
        self._policy = policy
        self._max_tokens = max_tokens
        self._gauge = ContextGauge()

    def read(self, prompt: Sequence[Message], turn: ModelTurn) -> None:
        """Learn the size of a prompt that the server has counted."""
        if self._max_tokens is not None:
            self._gauge.read(prompt, turn)

    def over_budget(self, messages: Sequence[Message]) -> bool:
        """Whether the conversation would be a prompt over the budget."""
        return self._max_tokens is not None and self._gauge.estimate(messages) > self._max_tokens

    async def shorten(
        self, messages: Sequence[Message], *, reason: StopReason, turns: Sized, ask: Ask
    ) -> Compacted | None:
        """Have the policy shorten a conversation, to half of what it has or may have.

        `turns` are the turns so far; those that the policy asks for are added to it meanwhile. None
        when the policy can't, or what it made isn't shorter.
        """
        size = conversation_size(messages)
        room = size // 2
        if self._max_tokens is not None:
            room = min(room, self._gauge.characters(self._max_tokens) // 2)
        conversation = split(messages, opening=self._opening, task=self._task)
        shortened = await self._policy.shorten(conversation, room, ask)
        if shortened is None or conversation_size(shortened.messages) >= size:
            return None
        self._opening = len(shortened.opening)
        record = Compaction(
            turn=len(turns),
            policy=self._policy.name,
            reason=reason,
            before=tuple(messages),
            kept=sum(map(len, shortened.turns)),
        )
        return Compacted(messages=shortened.messages, record=record)
