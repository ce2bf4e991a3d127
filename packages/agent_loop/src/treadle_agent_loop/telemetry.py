"""OpenTelemetry spans of rollouts, as an observer of the loop; needs the extra `otel`.

A rollout is an `invoke_agent` span, each model turn a `chat` span and each tool call that ran an
`execute_tool` span in it, named and attributed after the GenAI semantic conventions (which are in
development; this follows 1.41). Messages, arguments and results can hold anything, so they are left
out unless `record_content` is set. Only the OpenTelemetry API is used: without a configured SDK
nothing is recorded and next to nothing is spent.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from treadle_agent_loop.model import Message, ModelTurn
from treadle_agent_loop.observer import SilentObserver
from treadle_agent_loop.rollout import (
    Compaction,
    RolloutResult,
    ToolOutcome,
    ToolRecord,
)
from treadle_parsers import ToolCall

_FAILED = frozenset({ToolOutcome.TOOL_ERROR, ToolOutcome.INTERRUPTED})


class TelemetryObserver(SilentObserver):
    """A `LoopObserver` that makes spans; one serves any number of rollouts at once."""

    def __init__(
        self,
        *,
        model: str,
        agent: str = "treadle",
        provider: str = "openai_compatible",
        record_content: bool = False,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        """`tracer_provider` is by default the process's own."""
        self._tracer = trace.get_tracer("treadle_agent_loop", tracer_provider=tracer_provider)
        self._shared: dict[str, Any] = {
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.agent.name": agent,
        }
        self._record_content = record_content

    def on_start(self, messages: Sequence[Message], tools: Sequence[str]) -> "RolloutSpans":
        """Open the rollout's span, inside whatever span is current."""
        spans = RolloutSpans(self._tracer, self._shared, record_content=self._record_content)
        spans.begin(messages, tools)
        return spans


class RolloutSpans(SilentObserver):
    """The spans of one rollout."""

    def __init__(self, tracer: Tracer, shared: dict[str, Any], *, record_content: bool) -> None:
        self._tracer = tracer
        self._shared = shared
        self._record_content = record_content
        self._agent: Span = trace.INVALID_SPAN
        self._chat: Span | None = None
        self._tools: dict[tuple[int, str], tuple[Span, int]] = {}

    def begin(self, messages: Sequence[Message], tools: Sequence[str]) -> None:
        """Open the rollout's span."""
        name = f"invoke_agent {self._shared['gen_ai.agent.name']}"
        self._agent = self._tracer.start_span(
            name, kind=SpanKind.INTERNAL, attributes=self._attributes("invoke_agent")
        )
        self._agent.set_attribute("treadle.tools", list(tools))
        self._content(self._agent, "gen_ai.input.messages", list(messages))

    def on_turn_start(self, turn: int) -> None:
        """Open a model turn's span; one that is still open got no answer."""
        self._end_chat("no_answer")
        name = f"chat {self._shared['gen_ai.request.model']}"
        self._chat = self._child(name, "chat", SpanKind.CLIENT)
        self._chat.set_attribute("treadle.turn", turn)

    def on_answer(self, turn: int, answer: ModelTurn) -> None:
        """Close it with what the answer cost."""
        span, self._chat = self._chat, None
        if span is None:
            return
        span.set_attributes(
            {
                "gen_ai.response.finish_reasons": [str(answer.finish_reason)],
                "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
                "treadle.tool_calls": len(answer.tool_calls),
            }
        )
        self._content(span, "gen_ai.output.messages", [answer.message])
        span.end()

    def on_tool_start(self, turn: int, call: ToolCall) -> None:
        """Open a tool call's span."""
        started = time.time_ns()
        span = self._child(
            f"execute_tool {call.name}", "execute_tool", SpanKind.INTERNAL, started=started
        )
        span.set_attributes(
            {
                "gen_ai.tool.name": call.name,
                "gen_ai.tool.call.id": call.id,
                "gen_ai.tool.type": "function",
            }
        )
        self._content(span, "gen_ai.tool.call.arguments", call.arguments)
        self._tools[turn, call.id] = (span, started)

    def on_tool(self, record: ToolRecord) -> None:
        """Close it as of the time when the tool was done; calls that never ran have none."""
        found = self._tools.pop((record.turn, record.call_id), None)
        if found is None:
            return
        span, started = found
        span.set_attribute("treadle.outcome", str(record.outcome))
        if record.outcome in _FAILED:
            self._failed(span, str(record.outcome))
        self._content(span, "gen_ai.tool.call.result", record.result)
        span.end(end_time=started + int(record.seconds * 1e9))

    def on_compaction(self, record: Compaction) -> None:
        """Note that the conversation was shortened."""
        self._agent.add_event(
            "treadle.compaction",
            {"policy": record.policy, "reason": str(record.reason), "kept": record.kept},
        )

    def on_finish(self, result: RolloutResult) -> None:
        """Close the rollout's span with its result."""
        self._close_children(str(result.stop_reason))
        self._agent.set_attributes(
            {
                "gen_ai.usage.input_tokens": result.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": result.usage.completion_tokens,
                "treadle.stop_reason": str(result.stop_reason),
                "treadle.turns": result.turns,
                "treadle.segments": len(result.segments),
                "treadle.ids.sampled": result.ledger.sampled,
                "treadle.ids.trained": result.ledger.trained,
            }
        )
        self._agent.end()

    def on_error(self, error: BaseException) -> None:
        """Close everything as failed."""
        kind = type(error).__name__
        self._close_children(kind)
        self._agent.record_exception(error)
        self._failed(self._agent, kind)
        self._agent.end()

    def _close_children(self, why: str) -> None:
        self._end_chat(why)
        for span, _ in self._tools.values():
            self._failed(span, why)
            span.end()
        self._tools.clear()

    def _end_chat(self, why: str) -> None:
        span, self._chat = self._chat, None
        if span is not None:
            self._failed(span, why)
            span.end()

    def _child(
        self, name: str, operation: str, kind: SpanKind, *, started: int | None = None
    ) -> Span:
        return self._tracer.start_span(
            name,
            context=trace.set_span_in_context(self._agent),
            kind=kind,
            attributes=self._attributes(operation),
            start_time=started,
        )

    def _attributes(self, operation: str) -> dict[str, Any]:
        return {"gen_ai.operation.name": operation, **self._shared}

    def _content(self, span: Span, name: str, value: Any) -> None:
        if self._record_content and span.is_recording():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            span.set_attribute(name, text)

    def _failed(self, span: Span, why: str) -> None:
        span.set_attribute("error.type", why)
        span.set_status(Status(StatusCode.ERROR, why))
