import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop import AgentLoop, StopReason, ToolOutcome, tool
from treadle_agent_loop.definition import Concurrency, Tool
from treadle_agent_loop.errors import ToolCancelledError
from treadle_agent_loop.observer import SilentObserver
from treadle_agent_loop.testing import HostWorkspace, ScriptedModel, ScriptedTurn, call
from treadle_parsers import CallStatus

TASK = [{"role": "user", "content": "Go."}]


class Log:
    """Tools of each concurrency that log when they begin and end."""

    def __init__(self):
        self.events = []

    def tool(self, name, concurrency):
        async def run(n: int) -> str:
            """Log it."""
            self.events.append(("begin", name, n))
            for _ in range(3):
                await asyncio.sleep(0)
            self.events.append(("end", name, n))
            return str(n)

        return tool(name=name, concurrency=concurrency)(run)

    def tools(self):
        return [self.tool(str(kind), kind) for kind in Concurrency]


def _one_turn(*calls):
    return ScriptedModel([ScriptedTurn(calls=calls)])


def _at_once(events, first, second):
    """Whether two calls were both running at some moment."""
    begin, end = (
        (lambda key: events.index(("begin", *key))),
        lambda key: events.index(("end", *key)),
    )
    return begin(first) < end(second) and begin(second) < end(first)


@given(st.lists(st.sampled_from([str(kind) for kind in Concurrency]), min_size=2, max_size=7))
def test_calls_overlap_exactly_where_their_tools_allow_it(names):
    async def run():
        log = Log()
        calls = [call(name, n=index) for index, name in enumerate(names)]
        result = await AgentLoop(_one_turn(*calls), log.tools()).run(TASK)
        return log.events, result

    events, result = asyncio.run(run())
    assert [record.result for record in result.tool_records] == [str(n) for n in range(len(names))]
    keys = [(name, index) for index, name in enumerate(names)]
    for later, second in enumerate(keys):
        for first in keys[:later]:
            pair = {first[0], second[0]}
            if "exclusive" in pair or (pair == {"ordered"}):
                assert events.index(("end", *first)) < events.index(("begin", *second))
            elif not any(name == "exclusive" for name in names) and pair == {"parallel"}:
                assert _at_once(events, first, second)


async def test_a_call_that_cannot_run_holds_nothing_up_and_is_counted():
    log = Log()
    calls = (
        call("exclusive", raw="{oops", status=CallStatus.INVALID_JSON),
        call("nobody"),
        call("parallel", n="three"),
        call("parallel", n=1),
    )
    result = await AgentLoop(_one_turn(*calls), log.tools()).run(TASK)
    assert [record.outcome for record in result.tool_records] == ["bad_call"] * 3 + ["ok"]
    counts = result.tool_counts
    assert (counts.attempted, counts.schema_valid, counts.executed, counts.failed) == (4, 1, 1, 0)


async def test_counts_tell_calls_that_ran_and_failed_from_calls_that_never_ran():
    @tool(reports=(KeyError,))
    async def fail(n: int) -> str:
        """Fail."""
        raise KeyError(n)

    calls = (call("fail", n=1), call("fail", n="x"))
    result = await AgentLoop(_one_turn(*calls), [fail]).run(TASK)
    assert result.tool_records[0].result == "KeyError: 1"
    counts = result.tool_counts
    assert (counts.attempted, counts.schema_valid, counts.executed, counts.failed) == (2, 1, 1, 1)


async def test_the_tool_time_budget_interrupts_what_runs_and_answers_the_rest():
    @tool(concurrency=Concurrency.EXCLUSIVE)
    async def hang() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return ""

    log = Log()
    calls = (call("parallel", n=1), call("hang"), call("parallel", n=2), call("nobody"))
    loop = AgentLoop(_one_turn(*calls), [*log.tools(), hang], max_tool_seconds=0.2)
    result = await loop.run(TASK)
    assert result.stop_reason is StopReason.TOOL_TIME
    outcomes = [record.outcome for record in result.tool_records]
    assert outcomes == ["ok", "interrupted", "not_run", "bad_call"]
    assert "time for tools" in result.tool_records[1].result
    assert len(result.messages) == 6
    assert result.tool_counts.executed == 2


async def test_a_tools_own_timeout_is_told_to_the_model_and_no_other_one_is():
    @tool(timeout=0.1)
    async def hang() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return ""

    result = await AgentLoop(_one_turn(call("hang")), [hang]).run(TASK)
    record = result.tool_records[0]
    assert (record.outcome, record.result) == ("tool_error", "timed out after 0.1 seconds")

    @tool(timeout=30)
    async def late() -> str:
        """Fail."""
        raise TimeoutError("no answer from the sandbox")

    with pytest.raises(TimeoutError, match="no answer"):
        await AgentLoop(_one_turn(call("late")), [late]).run(TASK)


async def test_a_flood_of_calls_runs_a_few_at_a_time():
    running = most = 0

    @tool
    async def work(n: int) -> str:
        """Work."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return str(n)

    calls = [call("work", n=n) for n in range(100)]
    result = await AgentLoop(_one_turn(*calls), [work]).run(TASK)
    assert [record.result for record in result.tool_records] == [str(n) for n in range(100)]
    assert most == 16


async def test_a_tool_that_raises_ends_the_others_and_shows_its_own_error():
    ended = asyncio.Event()

    @tool
    async def crash() -> str:
        """Crash."""
        raise ZeroDivisionError("a bug in the tool")

    @tool
    async def hang() -> str:
        """Wait."""
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    with pytest.raises(ZeroDivisionError, match="a bug in the tool"):
        await AgentLoop(_one_turn(call("hang"), call("crash")), [hang, crash]).run(TASK)
    assert ended.is_set()


@pytest.mark.parametrize("steps", range(40))
async def test_cancelling_after_any_step_leaves_no_task_and_no_call_half_run(steps):
    log = Log()
    running = 0

    @tool
    async def nested(n: int) -> str:
        """Run tasks of its own."""
        nonlocal running
        running += 1
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
                group.create_task(asyncio.sleep(0))
        finally:
            running -= 1
        return str(n)

    names = ("parallel", "ordered", "exclusive", "nested")
    turn = ScriptedTurn(calls=tuple(call(name, n=n) for n, name in enumerate(names)))
    loop = AgentLoop(ScriptedModel([turn, turn]), [*log.tools(), nested], rollout_timeout=30)
    before = asyncio.all_tasks()
    rollout = asyncio.create_task(loop.run(TASK))
    for _ in range(steps):
        await asyncio.sleep(0)
    rollout.cancel()
    done, _ = await asyncio.wait([rollout], timeout=20)
    assert done
    assert asyncio.all_tasks() == before
    assert running == 0


async def test_a_long_result_is_kept_in_the_workspace_and_previewed():
    text = "".join(f"line {number}\n" for number in range(5_000))

    @tool(result_limit=1_000)
    async def long() -> str:
        """Say much."""
        return text

    async with HostWorkspace() as workspace:
        result = await AgentLoop(_one_turn(call("long")), [long]).run(TASK, workspace)
        record = result.tool_records[0]
        assert (await workspace.read_file(record.kept_at)).decode() == text
        assert await workspace.read_file(".treadle/.gitignore") == b"*\n"
    assert record.kept_at == ".treadle/results/turn1_call1_long.txt"
    assert record.kept_at in record.result
    assert len(record.result) < 1_200
    assert record.result.startswith("line 0\n")
    assert record.result.endswith("line 4999\n")
    assert f"of {len(text)} characters cut" in record.result


async def test_a_long_result_without_a_place_for_it_is_cut_in_the_message():
    @tool(result_limit=300)
    async def long() -> str:
        """Say much."""
        return "a" * 1_000

    result = await AgentLoop(_one_turn(call("long")), [long]).run(TASK)
    assert "[... 700 characters cut ...]" in result.tool_records[0].result
    assert result.tool_records[0].kept_at == ""


async def test_the_results_of_one_turn_fit_their_limit_together_and_short_ones_stay_whole():
    @tool
    async def say(text: str, times: int) -> str:
        """Repeat."""
        return text * times

    calls = [call("say", text=letter, times=9_000) for letter in "abc"]
    calls.append(call("say", text="d", times=50))
    async with HostWorkspace() as workspace:
        loop = AgentLoop(_one_turn(*calls), [say], turn_result_limit=9_050)
        result = await loop.run(TASK, workspace)
    sizes = [len(record.result) for record in result.tool_records]
    assert all(3_000 <= size <= 3_200 for size in sizes[:3])
    assert result.tool_records[3].result == "d" * 50
    assert [bool(record.kept_at) for record in result.tool_records] == [True, True, True, False]


async def test_observers_are_told_everything_in_order():
    told = []

    class Teller(SilentObserver):
        def on_start(self, messages, tools):
            told.append(("start", tools))
            return self

        def on_turn_start(self, turn):
            told.append(("asked", turn))

        def on_answer(self, turn, answer):
            told.append(("answered", turn))

        def on_tool_start(self, turn, call):
            told.append(("runs", call.name))

        def on_tool(self, record):
            told.append(("ran", record.outcome))

        def on_turn(self, record):
            told.append(("turn", record.index))

        def on_finish(self, result):
            told.append(("finished", result.stop_reason))

        def on_error(self, error):
            told.append(("failed", type(error)))

    @tool
    async def echo(text: str) -> str:
        """Say it back."""
        return text

    model = _one_turn(call("echo", text="x"), call("nobody"))
    await AgentLoop(model, [echo], observer=Teller()).run(TASK)
    assert told == [
        ("start", ("echo",)),
        *(("asked", 0), ("answered", 0), ("runs", "echo")),
        *(("ran", ToolOutcome.OK), ("ran", ToolOutcome.BAD_CALL), ("turn", 0)),
        *(("asked", 1), ("answered", 1), ("turn", 1), ("finished", StopReason.FINISHED)),
    ]
    told.clear()
    broken = ScriptedModel([ScriptedTurn(error=ConnectionError("gone"))])
    with pytest.raises(ConnectionError):
        await AgentLoop(broken, [echo], observer=Teller()).run(TASK)
    assert told[-1] == ("failed", ConnectionError)


async def test_tools_of_a_source_are_open_for_one_rollout_alone():
    opened = []

    class Source:
        def open(self):
            from contextlib import asynccontextmanager

            @asynccontextmanager
            async def opening():
                opened.append("open")
                try:
                    yield [_constant("from_source")]
                finally:
                    opened.append("closed")

            return opening()

    loop = AgentLoop(_one_turn(call("from_source")), [_constant("own")], sources=[Source()])
    results = [await loop.run(TASK), await loop.run(TASK)]
    assert opened == ["open", "closed"] * 2
    assert [result.tools for result in results] == [("own", "from_source")] * 2
    assert results[0].tool_records[0].outcome == "ok"


def _constant(name) -> Tool:
    async def constant() -> str:
        """Answer."""
        return name

    return tool(name=name)(constant)


async def test_a_tool_that_is_cancelled_from_inside_ends_the_rollout_and_hangs_nobody():
    @tool(concurrency="ordered")
    async def broken() -> str:
        """Wait for something that is shut down."""
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        return await gone

    model = _one_turn(call("broken"), call("broken"))
    async with asyncio.timeout(10):
        with pytest.raises(ToolCancelledError, match="'broken' was cancelled from inside"):
            await AgentLoop(model, [broken]).run(TASK)
