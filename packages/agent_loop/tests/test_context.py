import asyncio
import time

import pytest

from treadle_agent_loop import ToolContext, ToolError, ToolRegistry
from treadle_agent_loop.context import SearchMatch
from treadle_agent_loop.standard_tools import terminal_tool
from treadle_agent_loop.testing import HostWorkspace

BLOB = bytes(range(256)) * 1_000


def _folder(path):
    (path / "sub" / "empty").mkdir(parents=True)
    (path / "sub" / "blob.bin").write_bytes(BLOB)
    (path / "sub" / "with space 'and' quote").write_text("é")
    (path / "run.sh").write_text("#!/bin/sh\necho hi")
    (path / "run.sh").chmod(0o755)
    return path


async def _travels_both_ways(workspace, tmp_path):
    source = _folder(tmp_path / "source")
    context = ToolContext(workspace)
    await context.upload(source, "there")
    assert (await context.terminal("./there/run.sh")).stdout == "hi\n"
    assert await context.read_bytes("there/sub/blob.bin") == BLOB
    await context.download("there", tmp_path / "back")
    await context.download("there/sub/blob.bin", tmp_path / "one" / "blob.bin")
    await context.upload(tmp_path / "one" / "blob.bin", "copy.bin")
    assert await context.read_bytes("copy.bin") == BLOB
    assert (tmp_path / "back" / "sub" / "blob.bin").read_bytes() == BLOB
    assert (tmp_path / "back" / "sub" / "with space 'and' quote").read_text() == "é"
    assert (tmp_path / "back" / "run.sh").stat().st_mode & 0o111
    with pytest.raises(FileNotFoundError):
        await context.upload(tmp_path / "nowhere", "x")
    with pytest.raises(FileNotFoundError):
        await context.download("nowhere", tmp_path / "x")


async def test_folders_and_binary_files_travel_through_a_leases_own_transfer(sandbox, tmp_path):
    async with sandbox() as lease:
        await _travels_both_ways(lease, tmp_path)


async def test_folders_and_binary_files_travel_as_tar_where_there_is_no_transfer(tmp_path):
    async with HostWorkspace() as workspace:
        await _travels_both_ways(workspace, tmp_path)


async def test_a_folder_that_is_too_large_is_refused_and_leaves_nothing_half_done(tmp_path):
    async with HostWorkspace() as workspace:
        context = ToolContext(workspace)
        await context.write_file("d/big", b"x" * 100_000)
        with pytest.raises(ToolError, match="more than 50000 bytes"):
            await context.download("d", tmp_path / "d", limit=50_000)
        assert not (tmp_path / "d").exists()


async def test_an_archive_that_leads_out_of_the_target_is_refused(tmp_path):
    async with HostWorkspace() as workspace:
        context = ToolContext(workspace)
        await context.terminal("mkdir d && ln -s /etc/passwd d/link && ln -s ../../.. d/up")
        with pytest.raises(Exception, match=r"(?i)link|outside"):
            await context.download("d", tmp_path / "d")


async def test_a_reward_sees_what_the_model_left_and_calls_its_tools(sandbox):
    async with sandbox() as lease:
        tools = ToolRegistry([terminal_tool])
        await tools.call("terminal", {"command": "mkdir s && echo 'x = 42' > s/a.py"}, lease)
        context = ToolContext(lease, tools)
        assert await context.search(r"x = \d+") == (
            SearchMatch(path="s/a.py", line=1, text="x = 42"),
        )
        assert await context.search("X =", glob="*.py", ignore_case=True)
        assert await context.search("nothing") == ()
        with pytest.raises(ToolError, match="search failed"):
            await context.search("(")
        assert (await context.terminal("pwd", workdir="s")).stdout.endswith("/s\n")
        assert (await context.terminal("echo $A", env={"A": "b"})).stdout == "b\n"
        assert (await context.call_tool("terminal", command="cat s/a.py")).text == "x = 42"
        assert not (await context.call_tool("nobody")).ok


async def test_timeouts_of_any_length_are_the_commands_own():
    async with HostWorkspace() as workspace:
        context = ToolContext(workspace)
        slow = await context.terminal("echo so far; sleep 5", timeout=0.3)
        assert (slow.ok, slow.timed_out, slow.stdout) == (False, True, "so far\n")
        assert (await context.terminal("true", timeout=100_000)).ok


async def test_twenty_commands_of_one_lease_run_at_once(sandbox):
    async with sandbox() as lease:
        context = ToolContext(lease)
        began = time.monotonic()
        results = await asyncio.gather(*(context.terminal("sleep 1") for _ in range(20)))
        assert time.monotonic() - began < 3
        assert all(result.ok for result in results)


async def test_many_rewards_run_at_once_without_holding_each_other_up():
    """Twenty rewards that sleep a second, each on its own workspace, and a watch on the loop."""
    lags = []

    async def watch():
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - began - 0.01)

    async def reward():
        async with HostWorkspace() as workspace:
            return (await ToolContext(workspace).terminal("sleep 1; echo done")).stdout

    watching = asyncio.create_task(watch())
    began = time.monotonic()
    results = await asyncio.gather(*(reward() for _ in range(20)))
    seconds = time.monotonic() - began
    watching.cancel()
    assert results == ["done\n"] * 20
    assert seconds < 3
    assert sorted(lags)[len(lags) // 2] < 0.1
