import asyncio

import pytest

from treadle_agent_loop import (
    AgentLoop,
    ContextLengthError,
    FinishReason,
    ModelServerError,
    SamplingParams,
    StopReason,
    ToolOutcome,
    python_tool,
    terminal_tool,
    tool,
)
from treadle_agent_loop.testing import HostWorkspace, ScriptedModel, ScriptedTurn, call
from treadle_parsers import CallStatus

TASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 6 * 7?"}]


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


def _turn(*calls, **fields):
    return ScriptedTurn(calls=calls, **fields)


async def test_a_rollout_runs_tools_in_the_workspace_until_the_model_answers():
    model = ScriptedModel([_turn(call("python", code="print(6 * 7)")), "It is 42."])
    async with HostWorkspace() as workspace:
        result = await AgentLoop(model, [python_tool]).run(TASK, workspace)
    assert [message["role"] for message in result.messages] == [
        *("system", "user", "assistant", "tool", "assistant"),
    ]
    assert (result.stop_reason, result.turns) == (StopReason.FINISHED, 2)
    assert result.final_text == "It is 42."
    record = result.tool_records[0]
    assert (record.turn, record.name, record.outcome, record.result) == (0, "python", "ok", "42")
    assert result.messages[3]["tool_call_id"] == record.call_id
    assert result.usage.completion_tokens == 2
    assert result.tool_seconds > 0


async def test_tools_go_as_schemas_and_the_conversation_is_untouched():
    model = ScriptedModel(["Hello."])
    opening = [dict(message) for message in TASK]
    await AgentLoop(model, [python_tool, terminal_tool]).run(opening)
    assert model.requests == [tuple(TASK)]
    assert opening == TASK
    assert model.tools == [(python_tool.schema, terminal_tool.schema)]


async def test_every_call_of_a_turn_gets_one_reply_in_call_order():
    damaged = (CallStatus.INVALID_JSON, CallStatus.TRUNCATED, CallStatus.MISSING_NAME)
    calls = (
        call("echo", text="one"),
        *(call("echo", raw="{", status=status) for status in damaged),
        call("unheard", x=1),
        call("echo", raw='{"text": 3}', status=CallStatus.SCHEMA_MISMATCH),
        call("echo", text="two"),
    )
    result = await AgentLoop(ScriptedModel([_turn(*calls)]), [echo]).run(TASK)
    asked = [entry["id"] for entry in result.messages[2]["tool_calls"]]
    replies = result.messages[3:-1]
    assert [reply["tool_call_id"] for reply in replies] == asked
    assert [record.outcome for record in result.tool_records] == ["ok", *["bad_call"] * 5, "ok"]
    texts = [reply["content"] for reply in replies]
    assert texts[0], texts[-1] == ("one", "two")
    assert "not valid JSON" in texts[1]
    assert "cut off" in texts[2]
    assert "names no tool" in texts[3]
    assert "The tools are: echo" in texts[4]
    assert "is not of type 'string'" in texts[5]


async def test_calls_of_one_turn_run_at_the_same_time():
    barrier = asyncio.Barrier(3)

    @tool
    async def meet(name: str) -> str:
        """Wait for the others."""
        await barrier.wait()
        return name

    calls = [call("meet", name=name) for name in "abc"]
    result = await AgentLoop(ScriptedModel([_turn(*calls)]), [meet], rollout_timeout=20).run(TASK)
    assert [record.result for record in result.tool_records] == ["a", "b", "c"]


async def test_the_turn_budget_ends_a_rollout_after_its_tools_ran():
    model = ScriptedModel([_turn(call("echo", text=str(n))) for n in range(9)])
    result = await AgentLoop(model, [echo], max_turns=3).run(TASK)
    assert (result.stop_reason, result.turns) == (StopReason.MAX_TURNS, 3)
    assert [record.result for record in result.tool_records] == ["0", "1", "2"]
    assert result.messages[-1]["role"] == "tool"


async def test_a_turn_cut_by_its_token_limit_runs_nothing_and_answers_every_call():
    turn = _turn(call("echo", text="x"), finish_reason=FinishReason.LENGTH)
    result = await AgentLoop(ScriptedModel([turn]), [echo]).run(TASK)
    assert result.stop_reason is StopReason.LENGTH
    assert result.tool_records[0].outcome is ToolOutcome.NOT_RUN
    assert "token limit" in result.messages[-1]["content"]


async def test_a_full_context_is_a_stop_reason_later_and_an_error_at_once():
    full = ScriptedTurn(error=ContextLengthError("too long"))
    later = ScriptedModel([_turn(call("echo", text="x")), full])
    result = await AgentLoop(later, [echo]).run(TASK)
    assert (result.stop_reason, result.turns) == (StopReason.CONTEXT, 1)
    with pytest.raises(ContextLengthError):
        await AgentLoop(ScriptedModel([full]), [echo]).run(TASK)


async def test_the_time_budget_ends_a_rollout_and_answers_what_was_running():
    @tool
    async def hang() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return ""

    model = ScriptedModel([_turn(call("hang"), call("echo", text="x"))])
    result = await AgentLoop(model, [hang, echo], rollout_timeout=0.2).run(TASK)
    assert result.stop_reason is StopReason.TIMEOUT
    assert [record.outcome for record in result.tool_records] == ["interrupted", "ok"]
    assert [message["role"] for message in result.messages[2:]] == ["assistant", "tool", "tool"]


async def test_failing_infrastructure_raises_itself_not_a_group():
    @tool
    async def die() -> str:
        """Lose the sandbox."""
        raise ConnectionResetError("the sandbox died")

    model = ScriptedModel([_turn(call("die"), call("echo", text="x"))])
    with pytest.raises(ConnectionResetError, match="the sandbox died"):
        await AgentLoop(model, [die, echo]).run(TASK)
    down = ScriptedModel([ScriptedTurn(error=ModelServerError("gone"))])
    with pytest.raises(ModelServerError):
        await AgentLoop(down, [echo]).run(TASK)


async def test_a_timeout_of_the_infrastructure_is_not_taken_for_the_time_budget():
    @tool
    async def stall() -> str:
        """Time out inside."""
        raise TimeoutError("no answer from the sandbox")

    model = ScriptedModel([_turn(call("stall"))])
    with pytest.raises(TimeoutError, match="no answer"):
        await AgentLoop(model, [stall], rollout_timeout=30).run(TASK)


async def test_cancelling_a_rollout_leaves_no_task_and_no_process():
    async with HostWorkspace() as workspace:
        before = asyncio.all_tasks()
        model = ScriptedModel([_turn(*[call("python", code="while True: pass")] * 3)])
        rollout = asyncio.create_task(AgentLoop(model, [python_tool]).run(TASK, workspace))
        async with asyncio.timeout(20):
            await workspace.wait_running(3)
        rollout.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rollout
        assert workspace.running == 0
        assert asyncio.all_tasks() == before


async def test_rollouts_of_one_loop_share_nothing():
    loop = AgentLoop(ScriptedModel([_turn(call("echo", text="x")), "end"]), [echo])
    results = await asyncio.gather(*(loop.run(TASK) for _ in range(20)))
    assert {result.final_text for result in results} == {"end"}
    assert {len(result.messages) for result in results} == {5}


def test_senseless_budgets_are_refused():
    with pytest.raises(ValueError, match="max_turns"):
        AgentLoop(ScriptedModel([]), max_turns=0)


def test_sampling_defaults_are_the_contract():
    assert AgentLoop(ScriptedModel([])).sampling == SamplingParams()
