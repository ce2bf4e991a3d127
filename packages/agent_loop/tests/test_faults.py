"""What goes wrong with the sandbox or by cancellation never becomes a result and leaves nothing."""

import asyncio
from dataclasses import replace

import pytest

from treadle_agent_loop import AgentLoop, StopReason, ToolContext, ToolError
from treadle_agent_loop.standard_tools import python_tool
from treadle_agent_loop.testing import HostWorkspace, ScriptedModel, ScriptedTurn, call
from treadle_agent_loop.tools import ToolRegistry
from treadle_agent_loop.toolsets import standard_toolsets
from treadle_agent_loop.workspace import told_to_model

TASK = [{"role": "user", "content": "Go."}]
TOOLS = standard_toolsets().registry("standard")
CALLS = {
    "terminal": {"command": "true"},
    "process": {"action": "list"},
    "read_file": {"path": "f"},
    "write_file": {"path": "f", "content": "x"},
    "patch": {"path": "f", "old_string": "a", "new_string": "b"},
    "search_files": {"pattern": "x"},
    "python": {"code": "1"},
}


class DeadWorkspace:
    """A workspace whose sandbox is gone: every call raises as a lost lease does."""

    workdir = "/workspace"
    isolation = "none"

    def __init__(self, error):
        self.error = error

    async def exec(self, argv, **settings):
        raise self.error

    async def read_file(self, path, *, limit=0):
        raise self.error

    async def write_file(self, path, data):
        raise self.error


@pytest.mark.parametrize("error", [ConnectionResetError("slot lost"), TimeoutError("no answer")])
@pytest.mark.parametrize("name", CALLS)
async def test_a_dead_sandbox_ends_the_rollout_and_is_no_text_for_the_model(name, error):
    assert set(CALLS) == set(TOOLS.names)
    model = ScriptedModel([ScriptedTurn(calls=(call(name, **CALLS[name]),))])
    with pytest.raises(type(error), match=str(error)):
        await AgentLoop(model, TOOLS, rollout_timeout=30).run(TASK, DeadWorkspace(error))


async def test_a_background_call_on_a_dead_sandbox_is_no_text_for_the_model():
    turn = ScriptedTurn(calls=(call("terminal", command="true", background=True),))
    with pytest.raises(ConnectionError):
        await AgentLoop(ScriptedModel([turn]), TOOLS).run(
            TASK, DeadWorkspace(ConnectionResetError("slot lost"))
        )


async def test_a_lease_that_is_lost_while_tools_run_ends_the_rollout(sandbox, commands):
    calls = (call("terminal", command="tail -f /dev/null"), call("python", code="1"))
    loop = AgentLoop(ScriptedModel([ScriptedTurn(calls=calls)]), TOOLS, rollout_timeout=40)
    async with sandbox() as lease:
        before = asyncio.all_tasks()
        rollout = asyncio.create_task(loop.run(TASK, lease))
        async with asyncio.timeout(20):
            while not any("tail" in line for line in await commands(lease)):
                pass
        await lease.aclose()
        with pytest.raises(Exception, match=r"(?i)lease|slot") as caught:
            await rollout
        assert not isinstance(caught.value, ToolError)
        assert asyncio.all_tasks() <= before


@pytest.mark.parametrize("name", ["terminal", "python_script", "search_files", "process"])
async def test_cancelling_at_any_moment_leaves_no_task_and_no_command(name):
    """Cancel after ever more steps of the event loop, and after ever more time."""
    calls = {
        "terminal": call("terminal", command="tail -f /dev/null"),
        "python_script": call("python_script", code="while True: pass"),
        "search_files": call("search_files", pattern="canary", path="/usr/share"),
        "process": call("process", action="list"),
    }
    tools = ToolRegistry([*TOOLS.tools, replace(python_tool, name="python_script")])
    model = ScriptedModel([ScriptedTurn(calls=(calls[name], call("read_file", path="f")))] * 9)
    loop = AgentLoop(model, tools)
    async with HostWorkspace() as workspace:
        before = asyncio.all_tasks()
        for step in range(16):
            rollout = asyncio.create_task(loop.run(TASK, workspace))
            for _ in range(step):
                await asyncio.sleep(0)
            await asyncio.sleep(0 if step % 2 else 0.004 * step)
            rollout.cancel()
            await asyncio.wait([rollout])
            assert asyncio.all_tasks() == before
        assert workspace.running == 0
        assert (await ToolContext(workspace).terminal("echo usable")).stdout == "usable\n"


async def test_cancelling_while_tools_run_in_a_sandbox_ends_their_commands(sandbox, commands):
    names = ("one", "two", "three")
    calls = tuple(call("terminal", command=f"tail -f /dev/null {name}") for name in names)
    async with sandbox() as lease:
        for name in names:
            await lease.write_file(name, b"")
        loop = AgentLoop(ScriptedModel([ScriptedTurn(calls=calls)]), TOOLS)
        rollout = asyncio.create_task(loop.run(TASK, lease))
        async with asyncio.timeout(20):
            while sum("tail -f" in line for line in await commands(lease)) < len(names):
                pass
        rollout.cancel()
        await asyncio.wait([rollout])
        assert not any("tail -f" in line for line in await commands(lease))
        assert (await ToolContext(lease).terminal("echo usable")).stdout == "usable\n"


async def test_the_time_budget_leaves_the_workspace_to_the_reward():
    turn = ScriptedTurn(calls=(call("terminal", command="echo x >made; tail -f /dev/null"),))
    async with HostWorkspace() as workspace:
        loop = AgentLoop(ScriptedModel([turn]), TOOLS, rollout_timeout=1)
        result = await loop.run(TASK, workspace)
        assert result.stop_reason is StopReason.TIMEOUT
        assert workspace.running == 0
        assert await ToolContext(workspace).read_file("made") == "x\n"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "no such file", "x"), "no such file: x"),
        (OSError(28, "no room left"), "no room left"),
        (ValueError("a NUL character"), "a NUL character"),
        (OSError(), "OSError"),
    ],
)
def test_what_a_workspace_refuses_is_told_to_the_model(error, text):
    with pytest.raises(ToolError, match=text), told_to_model():
        raise error


def test_what_breaks_a_workspace_is_not():
    for error in (ConnectionResetError("gone"), TimeoutError("late"), RuntimeError("closed")):
        with pytest.raises(type(error)), told_to_model():
            raise error
