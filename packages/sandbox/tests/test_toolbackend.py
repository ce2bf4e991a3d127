"""The earlier system's interface to slots."""

import asyncio
import base64
import io
import tarfile

import pytest

from treadle_sandbox import errors
from treadle_sandbox.config import LocalConfig, backend_from_config
from treadle_sandbox.testing import FakeBackend
from treadle_sandbox.testing.fake import outcome
from treadle_sandbox.toolbackend import SlotState, ToolBackend


def scenario(test, respond=lambda call: b"out\n", **options):
    async def run():
        async with ToolBackend(FakeBackend(respond, slots=2), **options) as tools:
            await test(tools)

    asyncio.run(run())


def test_a_batch_keeps_the_order_of_its_requests():
    async def test(tools):
        one, two = await tools.acquire("one"), await tools.acquire("two")
        results = await tools.execute_batch(
            [
                (one, "write_file", {"path": "a", "content": "1"}),
                (two, "bash", {"command": "echo"}),
                (one, "read_file", {"path": "a"}),
                (two, "read_file", {"path": "a"}),
                (one, "bash_stateful", {"command": "cd"}),
            ]
        )
        assert [result.success for result in results] == [True, True, True, False, True]
        assert [result.slot_id for result in results] == [
            slot.slot_id for slot in (one, two, one, two, one)
        ]
        assert (results[1].output, results[2].output) == ("out\n", "1")
        assert "no such file" in results[3].error
        assert one.state is SlotState.ACQUIRED

    scenario(test)


def test_a_failed_command_tells_its_status_and_streams():
    from dataclasses import replace

    async def test(tools):
        slot = await tools.acquire()
        (result,) = await tools.execute_batch([(slot, "bash", {"command": "false"})])
        assert not result.success
        assert result.error == "exit code 3"
        assert result.output == "out\n[stderr]\nbad\n"
        assert result.metadata["exit_code"] == 3

    answer = replace(outcome(3), stdout=b"out", stderr=b"bad\n")
    scenario(test, lambda call: answer)


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("perl", {}, "no tool 'perl'"),
        ("bash", {}, "command is None"),
        ("bash", {"command": "x", "timeout": -1}, "timeout is -1"),
        ("bash", {"command": "x", "require_sandbox": True}, "no boundary"),
        ("tmux", {"action": "dance"}, "action is 'dance'"),
        ("tmux", {"action": "capture"}, "no terminal was started"),
        ("tmux", {"action": "start", "pane_width": 10}, "give 20 to 500"),
        ("write_file", {"path": "a", "content": "x" * 100_001}, "above 100000"),
    ],
)
def test_a_call_that_cant_be_made_is_a_result(tool, arguments, message):
    async def test(tools):
        slot = await tools.acquire()
        (result,) = await tools.execute_batch([(slot, tool, arguments)])
        assert not result.success
        assert message in result.error

    scenario(test)


def test_a_call_gets_no_more_time_than_its_caller_grants():
    calls = []

    async def test(tools):
        slot = await tools.acquire()
        batch = [(slot, "bash", {"command": "x", "timeout": t}) for t in (1, 1000)]
        await tools.execute_batch(batch, timeout_s=7)
        assert [call.timeout for call in calls] == [1, 7]

    scenario(test, lambda call: calls.append(call) or 0)


def test_a_trajectory_has_one_slot_until_it_is_released():
    async def test(tools):
        one, same = await asyncio.gather(tools.acquire("one"), tools.acquire("one"))
        assert one is same
        await tools.release(one, reset_workspace=False)
        assert one.state is SlotState.AVAILABLE
        assert await tools.acquire("one") is one
        await tools.release(one)
        (result,) = await tools.execute_batch([(one, "bash", {"command": "x"})])
        assert "was released" in result.error
        assert (await tools.acquire("one")).slot_id != one.slot_id

    scenario(test)


def test_acquire_times_out():
    async def test(tools):
        for name in "ab":
            await tools.acquire(name)
        with pytest.raises(errors.LeaseTimeoutError):
            await tools.acquire("c")

    scenario(test, acquire_timeout=0.05)


def test_a_lost_slot_is_in_error_and_replaced():
    def die(call):
        raise errors.SlotLostError("its server is gone")

    async def test(tools):
        slot = await tools.acquire("one")
        (result,) = await tools.execute_batch([(slot, "bash", {"command": "x"})])
        assert result.error == "its server is gone"
        assert slot.state is SlotState.ERROR
        assert (await tools.acquire("one")).slot_id != slot.slot_id

    scenario(test, die)


def test_artifacts_are_read_listed_and_archived():
    async def test(tools):
        slot = await tools.acquire("one")
        for path in ("a.txt", "sub/b.json", "sub/deep/c"):
            await slot.lease.write_file(path, b"123456")
        content = await tools.read_artifact(slot, "a.txt", max_bytes=4, include_sha256=True)
        assert (content.content, content.truncated, content.bytes) == ("1234", True, 4)
        assert (content.file_size, content.mime, len(content.sha256)) == (6, "text/plain", 64)
        binary = await tools.read_artifact(slot, "a.txt", encoding="base64")
        assert base64.b64decode(binary.content) == b"123456"
        flat = await tools.list_artifacts(slot)
        assert [(e.path, e.is_dir) for e in flat.entries] == [("a.txt", False), ("sub", True)]
        everything = await tools.list_artifacts(slot, recursive=True, max_entries=4)
        assert everything.truncated
        assert len(everything.entries) == 4
        packed = await tools.archive_artifacts(slot)
        data = base64.b64decode(packed.content)
        assert (len(data), packed.entry_count) == (packed.bytes, 3)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert len([m for m in archive if m.isfile()]) == 3
        with pytest.raises(errors.SlotFileNotFoundError):
            await tools.read_artifact(slot, "missing")
        with pytest.raises(errors.InvalidCommandError, match="encoding"):
            await tools.read_artifact(slot, "a.txt", encoding="hex")

    scenario(test)


def test_a_terminal_is_driven_by_keys():
    async def run():
        config = LocalConfig(slots=1, min_isolation="auto")
        async with ToolBackend(backend_from_config(config)) as tools:
            slot = await tools.acquire("one")
            batch = [
                {"action": "start", "pane_width": 100, "pane_height": 30},
                {"action": "send_keys", "keys": ["echo $((6 * 7))", "Enter"], "block": True},
                {"action": "send_keys", "keys": "cat\n", "min_wait_s": 0.2},
                {"action": "send_keys", "keys": ["C-c"], "block": True, "max_wait_s": 5},
                {"action": "capture", "capture_entire": True},
                {"action": "stop"},
                {"action": "capture"},
                {"action": "start"},
                {"action": "send_keys", "keys": "exit\n", "block": True},
            ]
            results = await tools.execute_batch([(slot, "tmux", words) for words in batch])
            if "no tmux in the slot" in results[0].error:
                pytest.skip(results[0].error)
            assert [result.success for result in results] == [*[True] * 6, False, True, False]
            assert slot.state is SlotState.ACQUIRED
            assert "42" in results[1].output.splitlines()
            assert "^C" in results[4].output

    asyncio.run(run())
