"""One rollout's conversation with a chat server; the server keeps no state.

The wire is the client's affair: anything that turns a request body into an answer body.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from treadle_agent_loop.chat_answers import read_answer
from treadle_agent_loop.history import assistant_message, for_server
from treadle_agent_loop.model import LedgerReport, Message, ModelTurn, SamplingParams, Segment
from treadle_agent_loop.replies import reading
from treadle_agent_loop.serving import turn_seed
from treadle_parsers import Parser, ToolSchema


class ChatWire(Protocol):
    """What a session needs of its client."""

    @property
    def model(self) -> str:
        """The model's name on the server."""
        ...

    @property
    def parser(self) -> Parser | None:
        """Reads calls out of text, for servers that don't."""
        ...

    @property
    def extra_body(self) -> Mapping[str, Any]:
        """Fields that are merged into every request; None takes a field out."""
        ...

    async def ask(self, payload: dict[str, Any]) -> Mapping[str, Any]:
        """Send a chat completion request, without the fields that are None; return the answer.

        Raises:
            AgentLoopError: as `ModelSession.complete` says.
        """
        ...


def without_none(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request body without the fields that are None."""
    return {name: value for name, value in payload.items() if value is not None}


class ChatSession:
    """A `ModelSession` without token data."""

    def __init__(self, wire: ChatWire) -> None:
        self._wire = wire
        self._turns = 0

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> ModelTurn:
        """Answer the conversation; see `ModelSession.complete`."""
        payload = self._payload(messages, tools, sampling)
        started = time.monotonic()
        body = await self._wire.ask(payload)
        seconds = time.monotonic() - started
        self._turns += 1
        with reading("the server"):
            answer = read_answer(body, self._wire.parser, tools)
        message = assistant_message(answer.content, answer.reasoning, answer.calls)
        if answer.details is not None:
            message["reasoning_details"] = answer.details
        return ModelTurn(
            message=message,
            tool_calls=answer.calls,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            seconds=seconds,
        )

    def segments(self) -> tuple[Segment, ...]:
        """Return nothing: a chat server gives no tokens."""
        return ()

    def report(self) -> LedgerReport:
        """Return an empty count."""
        return LedgerReport()

    def _payload(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self._wire.model,
            "messages": for_server(messages),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if tools:
            payload["tools"] = list(tools)
        if sampling.stop:
            payload["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            payload["seed"] = turn_seed(sampling.seed, self._turns)
        return payload | dict(self._wire.extra_body)
