import asyncio
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop import (
    DuplicateToolError,
    Tool,
    ToolDefinitionError,
    ToolError,
    ToolOutcome,
    ToolRegistry,
    UnknownToolError,
    python_tool,
    tool,
)
from treadle_agent_loop.clipping import clip_middle

PINNED_PYTHON_SCHEMA = (
    '{"type": "function", "function": {"name": "python", "description": "Run a Python script and '
    'return what it prints.", "parameters": {"type": "object", "properties": {"code": {"type": '
    '"string", "description": "The script. Print the result."}}, "required": ["code"]}}}'
)


@tool
async def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@tool
async def fail(text: str) -> str:
    """Fail."""
    raise ToolError(text)


def test_the_python_schema_is_pinned_byte_for_byte():
    assert json.dumps(python_tool.schema) == PINNED_PYTHON_SCHEMA


def test_two_tools_of_one_name_are_refused():
    with pytest.raises(DuplicateToolError, match="'add'"):
        ToolRegistry([add, add])


def test_an_invalid_schema_is_refused_when_the_tool_is_registered():
    broken = Tool(name="x", description="x", parameters={"type": "objekt"}, function=print)
    with pytest.raises(ToolDefinitionError, match="no valid JSON schema"):
        ToolRegistry([broken])


def test_an_unknown_tool_is_named_with_those_there_are():
    with pytest.raises(UnknownToolError, match="'mul'; the tools are: add"):
        ToolRegistry([add]).get("mul")


async def test_a_valid_call_runs_and_non_text_results_are_json():
    reply = await ToolRegistry([add]).call("add", '{"a": 2}', None)
    assert (reply.outcome, reply.text) == (ToolOutcome.OK, "3")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{oops", "not valid JSON"),
        ("[1]", "is not of type 'object'"),
        ('{"b": 1}', "'a' is a required property"),
        ('{"a": "1"}', "a: '1' is not of type 'integer'"),
        ('{"a": 1, "c": 2}', "'c' was unexpected"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
async def test_bad_arguments_are_text_for_the_model_and_never_run(arguments, said):
    reply = await ToolRegistry([add]).call("add", arguments, None)
    assert reply.outcome is ToolOutcome.BAD_CALL
    assert said in reply.text
    assert len(reply.text) < 2_200


async def test_null_for_an_optional_argument_counts_as_left_out():
    @tool
    async def greet(name: str | None = None) -> str:
        """Greet."""
        return f"Hello, {name or 'you'}."

    registry = ToolRegistry([greet, add])
    assert (await registry.call("greet", '{"name": null}', None)).text == "Hello, you."
    assert not (await registry.call("add", '{"a": 1, "b": null}', None)).ok


async def test_a_tool_error_is_text_and_any_other_exception_propagates():
    @tool
    async def crash() -> str:
        """Crash."""
        raise ConnectionResetError("the sandbox died")

    registry = ToolRegistry([fail, crash])
    reply = await registry.call("fail", {"text": "no such file"}, None)
    assert (reply.outcome, reply.text) == (ToolOutcome.TOOL_ERROR, "no such file")
    with pytest.raises(ConnectionResetError):
        await registry.call("crash", "{}", None)


async def test_a_sync_tool_runs_off_the_event_loop():
    @tool
    def where() -> str:
        """Say which thread runs."""
        return threading.current_thread().name

    reply = await ToolRegistry([where]).call("where", {}, None)
    assert reply.text != threading.main_thread().name


async def test_a_tool_that_needs_a_workspace_says_so_without_one():
    with pytest.raises(ToolDefinitionError, match="needs a workspace"):
        await ToolRegistry([python_tool]).call("python", {"code": "1"}, None)


async def test_long_results_keep_head_and_tail_and_count_what_is_cut():
    @tool(result_limit=300)
    async def long() -> str:
        """Say much."""
        return "a" * 500 + "b" * 500

    reply = await ToolRegistry([long]).call("long", {}, None)
    assert reply.text == "a" * 200 + "\n[... 700 characters cut ...]\n" + "b" * 100


@given(st.text(), st.integers(0, 50))
def test_clipping_keeps_short_text_and_accounts_for_every_character(text, limit):
    clipped = clip_middle(text, limit)
    if len(text) <= limit:
        assert clipped == text
    else:
        assert f"[... {len(text) - limit} characters cut ...]" in clipped
        assert clipped.startswith(text[: limit * 2 // 3])


async def test_cancelling_a_call_cancels_the_tool():
    began, ended = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    task = asyncio.create_task(ToolRegistry([wait]).call("wait", {}, None))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
