import pytest

from treadle_agent_loop import (
    ToolContext,
    ToolOutcome,
    ToolRegistry,
    build_python_tool,
    build_terminal_tool,
)
from treadle_agent_loop.testing import HostWorkspace

TOOLS = ToolRegistry([build_python_tool(timeout=10), build_terminal_tool(timeout=10)])


async def _call(name, **arguments):
    async with HostWorkspace() as workspace:
        return await TOOLS.call(name, arguments, workspace)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("print(6 * 7)", "42"),
        ("print('a\\nb')", "a\nb"),
        ("print('x\\n')", "x\n"),
        ("x = 1", "(no output: print the result)"),
        ("print('é–\\N{SNOWMAN}')", "é–☃"),
    ],
)
async def test_python_answers_what_the_script_prints(code, text):
    reply = await _call("python", code=code)
    assert (reply.outcome, reply.text) == (ToolOutcome.OK, text)


async def test_python_reports_the_exit_code_and_the_end_of_the_traceback():
    reply = await _call("python", code="def f(n): return f(n + 1)\nf(0)")
    assert reply.outcome is ToolOutcome.TOOL_ERROR
    lines = reply.text.splitlines()
    assert lines[0] == "exit code 1"
    assert lines[-1].startswith("RecursionError")
    assert len(lines) <= 8
    short = await _call("python", code="1 / 0")
    assert short.text.splitlines()[1:] == [
        "Traceback (most recent call last):",
        '  File "<stdin>", line 1, in <module>',
        "ZeroDivisionError: division by zero",
    ]


async def test_python_says_that_it_timed_out_and_keeps_the_output():
    tools = ToolRegistry([build_python_tool(timeout=1)])
    async with HostWorkspace() as workspace:
        code = "print('so far', flush=True)\nwhile True: pass"
        reply = await tools.call("python", {"code": code}, workspace)
    assert reply.outcome is ToolOutcome.TOOL_ERROR
    assert reply.text == "timed out after 1 seconds\nso far"


async def test_lone_surrogates_in_a_script_do_not_raise():
    reply = await _call("python", code="print('\ud800')")
    assert reply.text == "?"


async def test_terminal_shows_both_streams_and_a_failing_exit_code():
    good = await _call("terminal", command="echo out; echo err >&2")
    bad = await _call("terminal", command="echo out; exit 3")
    quiet = await _call("terminal", command="true")
    assert (good.text, bad.text, quiet.text) == ("out\nerr", "out\nexit code 3", "(no output)")
    assert bad.outcome is ToolOutcome.TOOL_ERROR


async def test_terminal_lets_the_model_ask_for_less_time_but_not_for_more():
    tools = ToolRegistry([build_terminal_tool(timeout=1)])
    async with HostWorkspace() as workspace:
        for asked in (1, 3600):
            reply = await tools.call(
                "terminal",
                {"command": "read x < <(tail -f /dev/null)", "timeout_seconds": asked},
                workspace,
            )
            assert reply.text == "timed out after 1 seconds"
        refused = await tools.call("terminal", {"command": "true", "timeout_seconds": 0}, workspace)
    assert "must be positive" in refused.text


async def test_a_nul_character_in_a_command_is_the_models_mistake():
    reply = await _call("terminal", command="echo \0")
    assert reply.outcome is ToolOutcome.TOOL_ERROR


async def test_files_persist_between_calls_and_reach_the_reward(tmp_path):
    async with HostWorkspace() as workspace:
        await TOOLS.call("terminal", {"command": "mkdir -p out && echo 7 > out/answer"}, workspace)
        context = ToolContext(workspace, TOOLS)
        assert await context.read_file("out/answer") == "7\n"
        assert (await context.python("print(open('out/answer').read().strip())")).stdout == "7\n"
        failed = await context.terminal("cat missing")
        assert (failed.ok, failed.exit_code) == (False, 1)
        assert "missing" in failed.output
        assert (await context.call_tool("python", code="print(1)")).text == "1"
        with pytest.raises(FileNotFoundError):
            await context.read_file("missing")


async def test_folders_and_binary_files_travel_both_ways(tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    blob = bytes(range(256)) * 100
    (source / "sub" / "blob.bin").write_bytes(blob)
    (source / "run.sh").write_text("echo hi")
    (source / "run.sh").chmod(0o755)
    async with HostWorkspace() as workspace:
        context = ToolContext(workspace)
        await context.upload(source, "there")
        assert (await context.terminal("./there/run.sh")).stdout == "hi\n"
        await context.download("there", tmp_path / "back")
        await context.download("there/sub/blob.bin", tmp_path / "one" / "blob.bin")
        await context.upload(tmp_path / "one" / "blob.bin", "copy.bin")
        assert await workspace.read_file("copy.bin") == blob
    assert (tmp_path / "back" / "sub" / "blob.bin").read_bytes() == blob
    assert (tmp_path / "one" / "blob.bin").read_bytes() == blob
