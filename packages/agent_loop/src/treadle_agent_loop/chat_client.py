"""Client for any OpenAI-compatible chat server: tools in, structured tool calls out, no token data.

`tools=` goes to the server, which formats it with the model's own template. Where a server answers
the raw text of tool calls instead of structured ones, `parser=` names the `treadle_parsers` format
to read it with. A wrong model name is reported with the names the server does offer.
"""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

from treadle_agent_loop.errors import ModelServerError
from treadle_agent_loop.history import assistant_message, content_text, for_server, reasoning_of
from treadle_agent_loop.http import HttpSettings, HttpStatistics, JsonHttpClient
from treadle_agent_loop.model import (
    FinishReason,
    LedgerReport,
    Message,
    ModelTurn,
    SamplingParams,
    Segment,
    Usage,
)
from treadle_agent_loop.serving import check_model, post_for_model, turn_seed
from treadle_parsers import CallStatus, Parser, Span, ToolCall, ToolSchema, get_parser


class ChatClient:
    """A pooled connection to one OpenAI-compatible server."""

    token_exact = False

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str | None = None,
        parser: str | None = None,
        timeout: float = 600.0,
        attempts: int = 5,
        backoff: float = 0.5,
        concurrency: int = 256,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        """`base_url` ends in `/v1`; `extra_body` is merged into every request.

        Raises:
            UnknownParserError: `parser` names no format of `treadle_parsers`.
        """
        self.model = model
        self.parser = get_parser(parser) if parser is not None else None
        self.extra_body = dict(extra_body or {})
        self.http = JsonHttpClient(
            HttpSettings(
                base_url=base_url,
                api_key=api_key,
                timeout=timeout,
                attempts=attempts,
                backoff=backoff,
                concurrency=concurrency,
            )
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self.http.aclose()

    def session(self) -> "ChatSession":
        """Open the model's side of one rollout."""
        return ChatSession(self)

    def statistics(self) -> HttpStatistics:
        """Return the request counters."""
        return self.http.statistics()

    async def check(self) -> None:
        """Ask the server for its models and make sure that ours is one of them.

        Raises:
            UnknownModelError: it isn't.
            ModelServerError: the server can't be reached.
        """
        await check_model(self.http, self.model)


class ChatSession:
    """One rollout's conversation with a chat server; the server keeps no state."""

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self._turns = 0

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> ModelTurn:
        """Answer the conversation; see `ModelSession.complete`."""
        payload = self._payload(messages, tools, sampling)
        started = time.monotonic()
        answer = await post_for_model(self._client.http, "/chat/completions", payload)
        seconds = time.monotonic() - started
        self._turns += 1
        choices = cast("list[dict[str, Any]]", answer.get("choices") or [])
        if not choices:
            raise ModelServerError("the server answered without choices")
        message = cast("dict[str, Any]", choices[0].get("message") or {})
        calls = _structured_calls(message)
        content, reasoning = content_text(message.get("content")), reasoning_of(message)
        if not calls and self._client.parser is not None:
            content, parsed_reasoning, calls = _parse(self._client.parser, content, tools)
            reasoning = reasoning or parsed_reasoning
        history = assistant_message(content, reasoning, calls)
        if "reasoning_details" in message:
            history["reasoning_details"] = message["reasoning_details"]
        usage = cast("dict[str, Any]", answer.get("usage") or {})
        return ModelTurn(
            message=history,
            tool_calls=calls,
            finish_reason=_finish(choices[0].get("finish_reason"), calls),
            usage=Usage(
                prompt_tokens=usage.get("prompt_tokens") or 0,
                completion_tokens=usage.get("completion_tokens") or 0,
            ),
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
            "model": self._client.model,
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
        return payload | self._client.extra_body


def _structured_calls(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    entries = cast("list[dict[str, Any]]", message.get("tool_calls") or [])
    calls: list[ToolCall] = []
    for index, entry in enumerate(entries):
        function = cast("dict[str, Any]", entry.get("function") or {})
        name, arguments = str(function.get("name") or ""), str(function.get("arguments") or "{}")
        calls.append(
            ToolCall(
                name=name,
                arguments=arguments,
                id=str(entry.get("id") or f"call_{index}"),
                index=index,
                status=CallStatus.OK if name else CallStatus.MISSING_NAME,
                span=Span(start=0, end=0),
                raw="",
            )
        )
    return tuple(calls)


def _parse(
    parser: Parser, text: str, tools: Sequence[ToolSchema]
) -> tuple[str, str, tuple[ToolCall, ...]]:
    parsed = parser.parse(text, tools)
    return parsed.content, parsed.reasoning, parsed.tool_calls


def _finish(reason: Any, calls: Sequence[ToolCall]) -> FinishReason:
    if reason == "length":
        return FinishReason.LENGTH
    return FinishReason.TOOL_CALLS if calls else FinishReason.STOP
