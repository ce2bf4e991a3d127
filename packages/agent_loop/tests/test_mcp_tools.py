import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="needs the extra treadle-agent-loop[mcp]")

from treadle_agent_loop import AgentLoop, StopReason, ToolRegistry
from treadle_agent_loop.errors import ToolServerError
from treadle_agent_loop.mcp_tools import McpServer
from treadle_agent_loop.testing import ScriptedModel, ScriptedTurn, call

PROGRAM = str(Path(__file__).with_name("mcp_server.py"))
STDIO = McpServer(command=(sys.executable, PROGRAM, "stdio"))
TASK = [{"role": "user", "content": "Go."}]


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _children():
    """The processes that this one has started and that still run."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [pid for entry in listed for pid in entry.read_text().split()]


@contextlib.asynccontextmanager
async def _http_server():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAM, "http", str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _works(server):
    async with server.open() as tools:
        registry = ToolRegistry(tools)
        assert registry.names == ("add", "fail", "wait", "die", "identify")
        schema = registry.get("add").schema["function"]
        assert schema["description"] == "Add two numbers."
        assert schema["parameters"]["properties"]["b"]["default"] == 1
        assert schema["parameters"]["required"] == ["a"]
        assert (await registry.call("add", '{"a": 2, "b": 3}', None)).text == "5"
        failed = await registry.call("fail", {"text": "no thread"}, None)
        assert (failed.outcome, "no thread" in failed.text) == ("tool_error", True)
        bad = await registry.call("add", {"a": "x"}, None)
        assert (bad.outcome, bad.schema_valid) == ("bad_call", False)
        calls = (registry.call("add", {"a": n}, None) for n in range(10))
        assert [reply.text for reply in await asyncio.gather(*calls)] == [
            str(n + 1) for n in range(10)
        ]


async def test_a_stdio_server_is_a_source_of_tools():
    await _works(STDIO)


async def test_a_streamable_http_server_is_a_source_of_tools():
    async with _http_server() as url:
        await _works(McpServer(url=url))


async def test_every_rollout_has_a_session_of_its_own_and_leaves_no_process():
    model = ScriptedModel([ScriptedTurn(calls=(call("identify"),)), "done"])
    loop = AgentLoop(model, sources=[STDIO])
    results = await asyncio.gather(loop.run(TASK), loop.run(TASK))
    pids = {int(result.tool_records[0].result) for result in results}
    assert len(pids) == 2
    assert not any(_alive(pid) for pid in pids)
    assert {result.stop_reason for result in results} == {StopReason.FINISHED}


async def test_names_are_prefixed_and_chosen():
    server = McpServer(command=STDIO.command, prefix="loom_", only=frozenset({"add"}))
    async with server.open() as tools:
        assert [entry.name for entry in tools] == ["loom_add"]
        assert (await ToolRegistry(tools).call("loom_add", {"a": 1}, None)).text == "2"


async def test_a_call_that_takes_too_long_is_a_tool_error():
    server = McpServer(command=STDIO.command, call_timeout=0.5)
    async with server.open() as tools:
        registry = ToolRegistry(tools)
        reply = await registry.call("wait", {"seconds": 30}, None)
        assert (reply.outcome, reply.text) == ("tool_error", "timed out after 0.5 seconds")
        assert (await registry.call("add", {"a": 1}, None)).ok


async def test_a_dead_server_is_a_failure_of_the_infrastructure_that_says_why():
    model = ScriptedModel([ScriptedTurn(calls=(call("die"),))])
    with pytest.raises(ToolServerError, match=r"died(.|\n)*the loom broke"):
        await AgentLoop(model, sources=[STDIO]).run(TASK)
    async with _http_server() as url:
        with pytest.raises(ToolServerError):
            await AgentLoop(model, sources=[McpServer(url=url, call_timeout=10)]).run(TASK)


@pytest.mark.parametrize(
    "server",
    [
        McpServer(command=("no-such-program",)),
        McpServer(command=(sys.executable, "-c", "import sys; sys.exit('no yarn')")),
        McpServer(command=("tail", "-f", "/dev/null"), start_timeout=1),
        McpServer(url="http://127.0.0.1:9/mcp", start_timeout=10),
    ],
    ids=["missing", "exits", "silent", "unreachable"],
)
async def test_a_server_that_cannot_be_opened_is_named(server):
    before = asyncio.all_tasks()
    with pytest.raises(ToolServerError, match="the MCP server"):
        async with asyncio.timeout(20), server.open():
            pass
    assert asyncio.all_tasks() == before
    assert not _children()


@pytest.mark.parametrize("twice", [False, True])
async def test_cancelling_a_rollout_ends_the_server(twice):
    began = asyncio.Event()
    pids = []

    def model(messages):
        if messages[-1]["role"] == "tool":
            pids.append(int(messages[-1]["content"]))
            began.set()
            return ScriptedTurn(calls=(call("wait", seconds=60),))
        return ScriptedTurn(calls=(call("identify"),))

    before = asyncio.all_tasks()
    rollout = asyncio.create_task(AgentLoop(ScriptedModel(model), sources=[STDIO]).run(TASK))
    await asyncio.wait_for(began.wait(), 30)
    for _ in range(5):
        await asyncio.sleep(0)
    rollout.cancel()
    if twice:
        await asyncio.sleep(0)
        rollout.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rollout
    assert not _alive(pids[0])
    assert asyncio.all_tasks() == before


async def test_a_rollout_out_of_time_still_ends_the_server():
    calls = ScriptedTurn(calls=(call("identify"), call("wait", seconds=60)))
    loop = AgentLoop(ScriptedModel([calls]), sources=[STDIO], max_tool_seconds=1)
    result = await loop.run(TASK)
    assert result.stop_reason is StopReason.TOOL_TIME
    assert not _alive(int(result.tool_records[0].result))


def test_a_server_is_started_or_reached_not_both():
    for arguments in ({}, {"command": ("x",), "url": "http://x"}):
        with pytest.raises(ValueError, match="either a command or a url"):
            McpServer(**arguments)
