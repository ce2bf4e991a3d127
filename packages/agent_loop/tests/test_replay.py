"""Runs that are recorded and replayed."""

import asyncio
import dataclasses
import random

import pytest

from treadle_agent_loop import AgentLoop, ModelServerError, SamplingParams, tool
from treadle_agent_loop.errors import ReplayMismatchError
from treadle_agent_loop.testing import (
    RecordingClient,
    ReplayClient,
    ScriptedModel,
    ScriptedTurn,
    call,
)
from treadle_agent_loop.testing.families import FAMILIES
from treadle_agent_loop.testing.replay.exchange import first_difference
from treadle_agent_loop.testing.simulation import LocalEngine, LocalTokenClient
from treadle_agent_loop.testing.simulation.writing import Writer
from treadle_agent_loop.testing.tokenizers import family_tokenizer

HELLO = [{"role": "user", "content": "Hello."}]
SCRIPT = [ScriptedTurn(content="So.", calls=(call("echo", text="é"), call("echo", text="b"))), "A."]


@tool
async def echo(text: str, extra: str = "") -> str:
    """Say it back."""
    return text


@tool(name="echo")
async def shout(text: str, extra: str = "") -> str:
    """Say it back."""
    return text.upper()


def timeless(result):
    """A result without the times that a clock measured on this side."""
    records = tuple(dataclasses.replace(entry, seconds=0.0) for entry in result.tool_records)
    turns = tuple(
        dataclasses.replace(entry, planning_seconds=0.0, tool_seconds=0.0)
        for entry in result.turn_records
    )
    return dataclasses.replace(result, tool_records=records, turn_records=turns, tool_seconds=0.0)


async def test_a_token_exact_run_is_replayed_to_the_last_id(tmp_path):
    family = FAMILIES["qwen3"]
    tokenizer = family_tokenizer(family)
    writer = Writer(family, tokenizer, random.Random(5))
    client = LocalTokenClient(LocalEngine(lambda prompt: writer.answer()), tokenizer=tokenizer)
    openings = [[{"role": "user", "content": f"Task {number}."}] for number in range(6)]
    sampling = SamplingParams(max_tokens=300, stop=("STOP",), seed=7)
    async with RecordingClient(client, tmp_path / "calls.jsonl") as recording:
        assert (recording.model, recording.token_exact) == ("local", True)
        loop = AgentLoop(recording, [echo], sampling=sampling)
        real = await asyncio.gather(*(loop.run(opening) for opening in openings))
    assert any(result.segments and result.turns > 1 for result in real)
    replay = ReplayClient(tmp_path / "calls.jsonl")
    assert (replay.model, replay.token_exact, replay.unused) == ("local", True, 6)
    loop = AgentLoop(replay, [echo], sampling=sampling)
    again = await asyncio.gather(*(loop.run(opening) for opening in reversed(openings)))
    assert [timeless(result) for result in reversed(again)] == [timeless(entry) for entry in real]
    assert replay.unused == 0


async def recorded(path, script=SCRIPT):
    async with RecordingClient(ScriptedModel(script), path) as client:
        await AgentLoop(client, [echo]).run(HELLO)
    return ReplayClient(path)


async def test_a_mismatch_is_one_line_with_the_first_difference(tmp_path):
    replay = await recorded(tmp_path / "calls.jsonl")
    with pytest.raises(ReplayMismatchError) as caught:
        await AgentLoop(replay, [shout]).run(HELLO)
    assert str(caught.value) == (
        "calls.jsonl: call 1: messages[2].content: recorded 'é', asked 'É'"
    )


async def test_another_opening_tools_or_sampling_are_mismatches(tmp_path):
    replay = await recorded(tmp_path / "calls.jsonl")
    for loop, opening, what in (
        (
            AgentLoop(replay, [echo]),
            [{"role": "user", "content": "Bye."}],
            r"messages\[0\].content",
        ),
        (AgentLoop(replay), HELLO, "tools has 1 entries recorded, 0 asked"),
        (
            AgentLoop(replay, [echo], sampling=SamplingParams(temperature=0.5)),
            HELLO,
            "sampling.temperature: recorded 1.0, asked 0.5",
        ),
    ):
        with pytest.raises(ReplayMismatchError, match=what) as caught:
            await loop.run(opening)
        assert "\n" not in str(caught.value)


async def test_what_was_not_recorded_is_said(tmp_path):
    replay = await recorded(tmp_path / "calls.jsonl")
    loop = AgentLoop(replay, [echo])
    await loop.run(HELLO)
    with pytest.raises(ReplayMismatchError, match="all 1 recorded sessions were replayed"):
        await loop.run(HELLO)
    session = ReplayClient(tmp_path / "calls.jsonl").session()
    with pytest.raises(FileExistsError, match="its own"):
        RecordingClient(ScriptedModel([]), tmp_path / "calls.jsonl")
    assert session.segments() == ()


async def test_errors_are_replayed_as_what_they_were(tmp_path):
    script = [ScriptedTurn(error=ModelServerError("it is down"))]
    path = tmp_path / "calls.jsonl"
    async with RecordingClient(ScriptedModel(script), path) as client:
        with pytest.raises(ModelServerError):
            await AgentLoop(client).run(HELLO)
    with pytest.raises(ModelServerError, match="it is down"):
        await AgentLoop(ReplayClient(path)).run(HELLO)


def test_a_file_that_is_no_recording_is_refused(tmp_path):
    for text in ("", '{"type": "rollout"}\n'):
        (tmp_path / "x.jsonl").write_text(text)
        with pytest.raises(ValueError, match="no recording"):
            ReplayClient(tmp_path / "x.jsonl")


def test_the_first_difference_is_found_and_shown_short():
    assert first_difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) is None
    assert first_difference({"a": 1}, {"a": True}) == "a: recorded 1, asked True"
    assert first_difference({"a": 1}, {}) == "a is only recorded"
    assert first_difference({}, {"a": {"b": 1}}) == "a is only asked"
    assert first_difference([1], [1, 2]) == " has 1 entries recorded, 2 asked"
    long = "x" * 500
    said = first_difference({"a": long + "y"}, {"a": long + "z"})
    assert said.endswith("xy', asked ...'" + "x" * 20 + "z'")
    assert len(said) < 200
