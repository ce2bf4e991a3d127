"""What a rollout may spend, and the accounts that are kept of it.

Generated tokens and context tokens are different things: the first are what the model wrote over
all turns, the second what one prompt may hold. A server counts a prompt only when it has read it,
so the next prompt is estimated from the last count and the text that was added since.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from treadle_agent_loop.history import content_text, reasoning_of
from treadle_agent_loop.model import Message, ModelTurn, SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """Limits of one rollout; None is no limit."""

    max_turns: int = 10
    """Answers of the model; summaries that a context policy asks for aren't counted."""
    rollout_seconds: float | None = None
    tool_seconds: float | None = None
    """Time spent running tools, over all turns; calls that run at once count once."""
    generated_tokens: int | None = None
    """Tokens generated over all turns, summaries included."""
    context_tokens: int | None = None
    """Tokens of one prompt, as far as they can be told before it is sent."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")


def clamp(sampling: SamplingParams, budgets: Budgets, generated: int) -> SamplingParams | None:
    """Return how to sample the next turn within what is left to generate; None: nothing is."""
    if budgets.generated_tokens is None:
        return sampling
    left = budgets.generated_tokens - generated
    if left <= 0:
        return None
    return sampling if sampling.max_tokens <= left else replace(sampling, max_tokens=left)


def message_size(message: Message) -> int:
    """Return the characters that a message brings into a prompt, markup not counted."""
    size = len(content_text(message.get("content"))) + len(reasoning_of(message))
    for call in cast("list[dict[str, Any]]", message.get("tool_calls") or []):
        function = cast("dict[str, Any]", call.get("function") or {})
        size += len(str(function.get("name"))) + len(str(function.get("arguments")))
    return size


def conversation_size(messages: Sequence[Message]) -> int:
    """Return the characters of a conversation, markup not counted."""
    return sum(map(message_size, messages))


class ContextGauge:
    """Estimates the tokens of a prompt before it is sent."""

    _FIRST_GUESS = 3.0

    def __init__(self) -> None:
        self._characters = 0
        self._tokens = 0
        self._per_token = self._FIRST_GUESS

    def read(self, prompt: Sequence[Message], turn: ModelTurn) -> None:
        """Learn from a turn that the server has counted."""
        size = conversation_size(prompt)
        if turn.usage.prompt_tokens > 0:
            self._per_token = max(size / turn.usage.prompt_tokens, 0.5)
        self._characters = size + message_size(turn.message)
        self._tokens = turn.usage.prompt_tokens + turn.usage.completion_tokens

    def estimate(self, messages: Sequence[Message]) -> int:
        """Return about how many tokens the prompt of a conversation has."""
        grown = conversation_size(messages) - self._characters
        return max(self._tokens + round(grown / self._per_token), 0)

    def characters(self, tokens: int) -> int:
        """Return about how many characters so many tokens are."""
        return round(tokens * self._per_token)
