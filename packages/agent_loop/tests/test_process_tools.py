import asyncio
import re

import pytest

from treadle_agent_loop import ToolOutcome, ToolRegistry
from treadle_agent_loop.standard_tools import (
    build_process_tool,
    build_python_session_tool,
    build_terminal_tool,
    process_tool,
    terminal_tool,
)
from treadle_agent_loop.testing import HostWorkspace

SHELL = ToolRegistry([terminal_tool, process_tool])


class Model:
    """Calls tools as a model would."""

    def __init__(self, workspace, tools=SHELL):
        self.workspace = workspace
        self.tools = tools

    async def call(self, name, **arguments):
        return await self.tools.call(name, arguments, self.workspace)

    async def ok(self, name, **arguments):
        reply = await self.call(name, **arguments)
        assert reply.outcome is ToolOutcome.OK, reply.text
        return reply.text

    async def no(self, name, **arguments):
        reply = await self.call(name, **arguments)
        assert reply.outcome is ToolOutcome.TOOL_ERROR, reply.text
        return reply.text

    async def background(self, command, **arguments):
        said = await self.ok("terminal", command=command, background=True, **arguments)
        return int(re.search(r"process (\d+)", said)[1])


async def test_output_comes_as_a_terminal_shows_it():
    async with HostWorkspace() as workspace:
        model = Model(workspace)
        assert await model.ok("terminal", command="echo a; echo b >&2; echo c") == "a\nb\nc"
        await workspace.write_file("sub/x", b"")
        assert await model.ok("terminal", command="ls", workdir="sub") == "x"
        assert await model.no("terminal", command="ls", workdir="nowhere")
        assert "is empty" in await model.no("terminal", command="  ")


async def test_a_command_may_get_more_time_up_to_the_most():
    tools = ToolRegistry([build_terminal_tool(timeout=0.2, max_timeout=20)])
    async with HostWorkspace() as workspace:
        model = Model(workspace, tools)
        assert "timed out after 0.2" in await model.no("terminal", command="sleep 1")
        assert await model.ok("terminal", command="sleep 1; echo x", timeout_seconds=15) == "x"


def test_without_background_the_model_is_not_offered_it():
    properties = build_terminal_tool(background=False).parameters["properties"]
    assert list(properties) == ["command", "timeout_seconds", "workdir"]
    assert "background" in build_terminal_tool().parameters["properties"]


async def test_a_background_process_outlives_its_call_and_can_be_followed(sandbox):
    async with sandbox() as lease:
        model = Model(lease)
        job = await model.background("read line; echo got $line; read other; exit 3")
        assert f"{job}: running: read line" in await model.ok("process", action="list")
        await model.ok("process", action="write", process_id=job, data="hello\n")
        await _until(model, job, "got hello")
        await model.ok("process", action="close", process_id=job)
        ended = await model.ok("process", action="wait", process_id=job)
        assert ended == f"process {job}: exited with code 3\noutput:\ngot hello"
        assert "isn't running: it exited with code 3" in await model.no(
            "process", action="kill", process_id=job
        )


async def _until(model, job, text):
    async with asyncio.timeout(20):
        while text not in await model.ok("process", action="poll", process_id=job):
            pass


async def test_killing_a_process_ends_what_it_started(sandbox, commands):
    async with sandbox() as lease:
        model = Model(lease)
        stubborn = "trap '' TERM; echo ready; while :; do read x < <(tail -f /dev/null); done"
        plain = await model.background("tail -f /dev/null & tail -f /dev/null")
        hard = await model.background(stubborn)
        await _until(model, hard, "ready")
        for job in (plain, hard):
            assert "exited with code" in await model.ok("process", action="kill", process_id=job)
        assert not any("tail -f" in line for line in await commands(lease))


async def test_waiting_too_long_says_so_and_changes_nothing(sandbox):
    async with sandbox() as lease:
        model = Model(lease, ToolRegistry([terminal_tool, build_process_tool(timeout=0.3)]))
        job = await model.background("echo begun; tail -f /dev/null")
        await _until(model, job, "begun")
        said = await model.ok("process", action="wait", process_id=job, timeout_seconds=900)
        assert said.startswith("still running after 0.3 seconds")
        assert "begun" in said
        assert "running" in await model.ok("process", action="poll", process_id=job)


async def test_logs_are_read_from_any_line_and_end_with_the_last_ones(sandbox):
    async with sandbox() as lease:
        model = Model(lease)
        job = await model.background("seq 500")
        await model.ok("process", action="wait", process_id=job)
        log = await model.ok("process", action="log", process_id=job, offset=10, limit=2)
        assert log == "[from line 10 of 500]\n10\n11"
        log = await model.ok("process", action="log", process_id=job, limit=2)
        assert log == "[from line 499 of 500]\n499\n500"
        polled = await model.ok("process", action="poll", process_id=job)
        assert "the last of 500 lines" in polled
        past = await model.ok("process", action="log", process_id=job, offset=900)
        assert "the log has 500 lines" in past


async def test_a_process_killed_with_everything_is_known_as_killed(sandbox):
    async with sandbox() as lease:
        model = Model(lease)
        job = await model.background("tail -f /dev/null")
        await lease.kill_all()
        assert "was killed" in await model.ok("process", action="poll", process_id=job)


async def test_what_the_model_gets_wrong_is_explained(sandbox):
    async with sandbox() as lease:
        model = Model(lease)
        assert await model.ok("process", action="list") == "(no processes)"
        assert "processes are: (none)" in await model.no("process", action="poll", process_id=7)
        assert "needs the process_id" in await model.no("process", action="poll")
        assert "starting a background process failed" in await model.no(
            "terminal", command="true", background=True, workdir="nowhere"
        )
        job = await model.background("tail -f /dev/null")
        assert "write needs data" in await model.no("process", action="write", process_id=job)
        full = await model.no("process", action="write", process_id=job, data="x" * 300_000)
        assert "doesn't read" in full


async def test_many_background_processes_get_numbers_of_their_own(sandbox):
    async with sandbox() as lease:
        model = Model(lease)
        jobs = await asyncio.gather(*(model.background(f"echo {n}") for n in range(8)))
        assert sorted(jobs) == list(range(1, 9))


def _python(**settings):
    return ToolRegistry([build_python_session_tool(**settings)])


async def test_the_python_session_keeps_its_state_and_shows_values(sandbox):
    async with sandbox() as lease:
        model = Model(lease, _python())
        assert await model.ok("python", code="import math\nx = 20") == "(no output)"
        assert await model.ok("python", code="print('x is', x)\nx * 2 + 2") == "x is 20\n42"
        assert await model.ok("python", code="_") == "42"
        assert await model.ok("python", code="def f(n):\n    return math.sqrt(n)\nf(16)") == "4.0"
        shown = await model.ok("python", code="import os; os.system('echo from a child')")
        assert shown == "from a child\n0"
        assert await model.ok("python", code="open('kept.txt', 'w').write('é')") == "1"
        assert (await lease.read_file("kept.txt")).decode() == "é"


async def test_an_exception_keeps_the_session_and_shows_the_models_own_lines(sandbox):
    async with sandbox() as lease:
        model = Model(lease, _python())
        said = await model.no("python", code="y = 1\ndef f():\n    return 1 / 0\nf()")
        assert said.splitlines()[0] == "Traceback (most recent call last):"
        assert "    return 1 / 0" in said
        assert said.splitlines()[-1] == "ZeroDivisionError: division by zero"
        assert "treadle" not in said
        assert "SyntaxError" in await model.no("python", code="def")
        assert await model.no("python", code="import sys; sys.exit(3)") == "SystemExit: 3"
        assert await model.ok("python", code="sys.exit()") == "(no output)"
        assert "EOFError" in await model.no("python", code="input()")
        assert await model.ok("python", code="y") == "1"


async def test_a_call_that_takes_too_long_restarts_the_session_and_says_so(sandbox):
    async with sandbox() as lease:
        model = Model(lease, _python(timeout=1))
        await model.ok("python", code="x = 1")
        said = await model.no("python", code="print('so far')\nwhile True: pass")
        assert said.startswith("timed out after 1 seconds\nso far\n[the interpreter was restarted")
        assert "NameError" in await model.no("python", code="x")


@pytest.mark.parametrize(
    "crash",
    ["os._exit(5)", "os.kill(os.getpid(), 9)", "import ctypes; ctypes.string_at(0)"],
)
async def test_code_that_kills_the_interpreter_is_told_so(sandbox, crash):
    async with sandbox() as lease:
        model = Model(lease, _python(timeout=20))
        said = await model.no("python", code=f"import os\nprint('before')\n{crash}")
        assert said.startswith("before")
        assert "[the interpreter died; the interpreter was restarted" in said
        assert await model.ok("python", code="1 + 1") == "2"


async def test_a_session_that_ended_between_calls_is_noticed(sandbox):
    async with sandbox() as lease:
        model = Model(lease, _python())
        await model.ok("python", code="x = 1")
        await lease.kill_all()
        said = await model.ok("python", code="2")
        assert said.startswith("[the earlier interpreter had ended;")
        assert said.endswith("\n2")


async def test_a_cancelled_call_ends_its_code_and_the_next_one_says_so(sandbox, commands):
    async with sandbox() as lease:
        model = Model(lease, _python())
        await model.ok("python", code="import os, subprocess; x = 1")
        code = "subprocess.Popen(['tail', '-f', '/dev/null'])\nopen('on', 'w').close()\nwhile x: x"
        running = asyncio.create_task(model.call("python", code=code))
        async with asyncio.timeout(20):
            while (await lease.exec(["test", "-e", "on"])).exit_code:
                pass
        running.cancel()
        await asyncio.wait([running])
        async with asyncio.timeout(20):
            while any("tail" in line or "serve" in line for line in await commands(lease)):
                pass
        assert "earlier interpreter had ended" in await model.ok("python", code="2")


async def test_forks_children_and_bad_text_do_not_confuse_the_session(sandbox):
    async with sandbox() as lease:
        model = Model(lease, _python())
        await model.ok("python", code="import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)")
        assert await model.ok("python", code="print('still here')") == "still here"
        assert await model.ok("python", code="print('\ud800')") == "?"
        assert await model.ok("python", code="print('\\ud800')") == "\\ud800"
        await model.ok("python", code="import signal\nif os.fork() == 0: signal.pause()")
        assert await model.ok("python", code="1") == "1"
        pool = "from multiprocessing import Pool\npool = Pool(2)\npool.map(abs, [-1, -2])"
        assert await model.ok("python", code=pool) == "[1, 2]"
        assert await model.ok("python", code="pool.map(abs, [-3])") == "[3]"
        await model.ok("python", code="import sys; sys.stdout.close(); os.close(2)")
        assert await model.ok("python", code="print('open again')") == "open again"
        zeros = await model.ok("python", code="sys.stdout.write('\\0' * 900_000); None")
        assert len(zeros) < 20_000
        long = await model.ok("python", code="print('x' * 2_000_000)")
        assert "cut" in long
        assert len(long) < 20_000


async def test_calls_of_one_turn_run_in_order_in_the_session(sandbox):
    from treadle_agent_loop import AgentLoop
    from treadle_agent_loop.testing import ScriptedModel, ScriptedTurn, call

    turn = ScriptedTurn(
        calls=tuple(call("python", code=code) for code in ("a = 1", "a += 1", "print(a)"))
    )
    async with sandbox() as lease:
        loop = AgentLoop(ScriptedModel([turn]), _python())
        result = await loop.run([{"role": "user", "content": "Go."}], lease)
    assert [record.result for record in result.tool_records][-1] == "2"


async def test_a_workspace_without_python_says_so():
    async with HostWorkspace() as workspace:
        model = Model(workspace, _python(interpreter="sh"))
        assert "can't run" in await model.no("python", code="1")
