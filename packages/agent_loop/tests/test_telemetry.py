"""Spans of rollouts, as the real SDK exports them."""

import asyncio

import pytest

from treadle_agent_loop import (
    AgentLoop,
    ContextLengthError,
    DropOldest,
    ModelServerError,
    ToolError,
    tool,
)
from treadle_agent_loop.testing import ScriptedModel, ScriptedTurn, call

pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from treadle_agent_loop.telemetry import TelemetryObserver

HELLO = [{"role": "user", "content": "Hello."}]


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


@tool
async def fails(text: str) -> str:
    """Fail."""
    raise ToolError("it went wrong")


class Traced:
    def __init__(self, **options):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.observer = TelemetryObserver(model="toy", tracer_provider=self.provider, **options)

    def spans(self, name=""):
        spans = sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)
        return [span for span in spans if span.name.startswith(name)]


async def test_a_rollout_is_one_tree_after_the_genai_conventions():
    traced = Traced(agent="weaver", provider="vllm")
    turn = ScriptedTurn(calls=(call("echo", text="a"), call("fails", text="b"), call("none")))
    loop = AgentLoop(ScriptedModel([turn, "So."]), [echo, fails], observer=traced.observer)
    with traced.provider.get_tracer("test").start_as_current_span("outside") as outside:
        result = await loop.run(HELLO)
    (agent,) = traced.spans("invoke_agent")
    assert agent.name == "invoke_agent weaver"
    assert agent.parent.span_id == outside.get_span_context().span_id
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert agent.attributes["gen_ai.usage.output_tokens"] == result.usage.completion_tokens == 2
    assert agent.attributes["treadle.stop_reason"] == "finished"
    chats = traced.spans("chat toy")
    assert [span.kind.name for span in chats] == ["CLIENT"] * 2
    assert chats[0].attributes["gen_ai.response.finish_reasons"] == ("tool_calls",)
    assert chats[0].attributes["gen_ai.provider.name"] == "vllm"
    tools = traced.spans("execute_tool")
    assert sorted(span.name for span in tools) == ["execute_tool echo", "execute_tool fails"]
    by_name = {span.attributes["gen_ai.tool.name"]: span for span in tools}
    assert by_name["echo"].status.is_ok or by_name["echo"].status.is_unset
    assert by_name["fails"].attributes["error.type"] == "tool_error"
    assert not by_name["fails"].status.is_ok
    for span in (*chats, *tools):
        assert span.parent.span_id == agent.context.span_id
        assert agent.start_time <= span.start_time <= span.end_time <= agent.end_time
    assert by_name["echo"].attributes["gen_ai.tool.call.id"] == result.tool_records[0].call_id


async def test_contents_are_recorded_only_where_asked():
    turn = ScriptedTurn(calls=(call("echo", text="secret"),))
    for asked in (False, True):
        traced = Traced(record_content=asked)
        loop = AgentLoop(ScriptedModel([turn, "secret"]), [echo], observer=traced.observer)
        await loop.run([{"role": "user", "content": "secret"}])
        held = [str(dict(span.attributes)) for span in traced.spans()]
        assert all("secret" in text for text in held) is asked
        assert any("secret" in text for text in held) is asked


async def test_failing_infrastructure_marks_the_spans():
    traced = Traced()
    model = ScriptedModel([ScriptedTurn(error=ModelServerError("it is down"))])
    with pytest.raises(ModelServerError):
        await AgentLoop(model, observer=traced.observer).run(HELLO)
    agent, chat = traced.spans("invoke_agent") + traced.spans("chat")
    assert agent.attributes["error.type"] == chat.attributes["error.type"] == "ModelServerError"
    assert agent.events[0].attributes["exception.message"] == "it is down"


async def test_a_cancelled_rollout_leaves_no_open_span():
    traced = Traced()
    started = asyncio.Event()

    @tool
    async def waits() -> str:
        """Wait for ever."""
        started.set()
        await asyncio.Event().wait()
        return ""

    model = ScriptedModel([ScriptedTurn(calls=(call("waits"),))])
    task = asyncio.create_task(AgentLoop(model, [waits], observer=traced.observer).run(HELLO))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [span.name for span in traced.spans()] == [
        "invoke_agent treadle",
        "chat toy",
        "execute_tool waits",
    ]
    assert traced.spans("execute")[0].attributes["error.type"] == "CancelledError"


async def test_a_compaction_is_an_event_and_the_refused_turn_a_failed_span():
    traced = Traced()
    turn = ScriptedTurn(calls=(call("echo", text="x" * 100),))
    full = ScriptedTurn(error=ContextLengthError("too long"))
    model = ScriptedModel([turn, turn, turn, full, "So."])
    loop = AgentLoop(model, [echo], context_policy=DropOldest(), observer=traced.observer)
    await loop.run(HELLO)
    (agent,) = traced.spans("invoke_agent")
    assert [event.name for event in agent.events] == ["treadle.compaction"]
    assert agent.events[0].attributes["policy"] == "drop_oldest"
    assert [span.attributes.get("error.type") for span in traced.spans("chat")] == [
        None,
        None,
        None,
        "no_answer",
        None,
    ]


async def test_without_an_sdk_nothing_happens():
    observer = TelemetryObserver(model="toy")
    result = await AgentLoop(ScriptedModel(["So."]), observer=observer).run(HELLO)
    assert result.final_text == "So."
