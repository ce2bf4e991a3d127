"""A model that answers from a script: every session starts at its first turn."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from treadle_parsers import CallStatus, Span, ToolCall, ToolSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedTurn:
    """One answer of a scripted model."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    """By default `tool_calls` with calls, else `stop`."""
    cut_by_context: bool = False
    """Whether a `length` was that of the context window."""
    error: Exception | None = None
    """Raised instead of answering."""
    usage: Usage | None = None
    """By default as many prompt tokens as messages, and one generated token."""


Script = Sequence[ScriptedTurn | str] | Callable[[Sequence[Message]], ScriptedTurn | str]
"""A list of turns (a string is content alone), or a function of the conversation."""


def call(
    name: str, /, *, status: CallStatus = CallStatus.OK, raw: str | None = None, **arguments: Any
) -> ToolCall:
    """Make a tool call for a script; `raw` replaces the JSON text of the arguments."""
    text = json.dumps(arguments) if raw is None else raw
    span = Span(start=0, end=0)
    return ToolCall(name=name, arguments=text, id="", index=0, status=status, span=span, raw=text)


class ScriptedModel:
    """A `ModelClient` whose sessions follow one script; past its end they answer `done`."""

    token_exact = False
    model = "scripted"

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[tuple[Message, ...]] = []
        """The conversations that all sessions were asked to answer, in order of arrival."""
        self.tools: list[tuple[ToolSchema, ...]] = []
        """The `tools=` of each request."""

    def session(self) -> "ScriptedSession":
        """Open a session at the script's first turn."""
        return ScriptedSession(self)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""


class ScriptedSession:
    """One rollout's run through the script."""

    def __init__(self, client: ScriptedModel) -> None:
        self._client = client
        self._turns = 0

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> ModelTurn:
        """Answer with the next turn of the script."""
        await asyncio.sleep(0)
        self._client.requests.append(tuple(messages))
        self._client.tools.append(tuple(tools))
        turn = self._next(messages)
        self._turns += 1
        if turn.error is not None:
            raise turn.error
        calls = tuple(
            ToolCall(
                name=entry.name,
                arguments=entry.arguments,
                id=entry.id or f"call_{self._turns}_{index}",
                index=index,
                status=entry.status,
                span=entry.span,
                raw=entry.raw,
            )
            for index, entry in enumerate(turn.calls)
        )
        default = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
        return ModelTurn(
            message=assistant_message(turn.content, turn.reasoning, calls),
            tool_calls=calls,
            finish_reason=turn.finish_reason or default,
            usage=turn.usage or Usage(prompt_tokens=len(messages), completion_tokens=1),
            seconds=0.0,
            cut_by_context=turn.cut_by_context,
        )

    def segments(self) -> tuple[Segment, ...]:
        """Return nothing: a script has no tokens."""
        return ()

    def report(self) -> LedgerReport:
        """Return an empty count."""
        return LedgerReport()

    def _next(self, messages: Sequence[Message]) -> ScriptedTurn:
        script = self._client.script
        if callable(script):
            turn = script(messages)
        else:
            turn = script[self._turns] if self._turns < len(script) else "done"
        return ScriptedTurn(content=turn) if isinstance(turn, str) else turn
