"""Rollout records: written, read back, validated, torn, and of an older version."""

import json
import random

import jsonschema
import pytest

from treadle_agent_loop import AgentLoop, DropOldest, SamplingParams, tool
from treadle_agent_loop.cli import main
from treadle_agent_loop.errors import SavedRolloutError, TruncatedRecordError
from treadle_agent_loop.record import (
    FailureRecord,
    JsonLines,
    RecordWriter,
    RolloutRecord,
    read_record,
    read_records,
    record_json,
    record_schema,
)
from treadle_agent_loop.testing import ScriptedModel, ScriptedTurn, call
from treadle_agent_loop.testing.families import FAMILIES
from treadle_agent_loop.testing.simulation import LocalEngine, LocalTokenClient
from treadle_agent_loop.testing.simulation.writing import Writer
from treadle_agent_loop.testing.tokenizers import family_tokenizer

FAILURE = FailureRecord(rollout_id="g/1", group_id="g", kind="ModelServerError", message="down")
TASK = [{"role": "user", "content": "zwölf ✓"}]


@tool
async def echo(text: str, extra: str = "") -> str:
    """Say it back."""
    return text


async def rolled_out(seed):
    family = FAMILIES["qwen3"]
    tokenizer = family_tokenizer(family)
    writer = Writer(family, tokenizer, random.Random(seed))
    engine = LocalEngine(lambda prompt: writer.answer())
    client = LocalTokenClient(engine, tokenizer=tokenizer, context_length=600)
    loop = AgentLoop(
        client,
        [echo],
        max_turns=10,
        sampling=SamplingParams(max_tokens=200),
        context_policy=DropOldest(),
    )
    return RolloutRecord(
        rollout_id=f"g/{seed}",
        group_id="g",
        item_id="i",
        result=await loop.run(TASK),
        reward=0.5,
        metrics={"steps": 3.0},
        model="toy",
        seed=seed,
        sampling={"temperature": 1.0, "max_tokens": 300},
        sandbox={"isolation": "none"},
        seconds=1.5,
        started="2026-05-03T10:00:00+00:00",
    )


async def test_what_is_written_is_read_back_and_fits_the_schema(tmp_path):
    path = tmp_path / "deep" / "rollouts.jsonl"
    validator = jsonschema.Draft202012Validator(record_schema())
    jsonschema.Draft202012Validator.check_schema(record_schema())
    records = [await rolled_out(seed) for seed in range(25)]
    assert any(record.result.compactions for record in records)
    assert any(record.result.tool_records for record in records)
    with JsonLines(path) as lines:
        writer = RecordWriter(lines)
        for count, record in enumerate([*records, FAILURE], start=1):
            writer.write(record)
            assert len(path.read_bytes().splitlines()) == count
    assert list(read_records(path)) == [*records, FAILURE]
    for line in path.read_text().splitlines():
        validator.validate(json.loads(line))
    assert main(["verify", str(path)]) == 0


async def test_a_rollout_without_tokens_is_a_record_too():
    turn = ScriptedTurn(calls=(call("echo", text="a"),))
    result = await AgentLoop(ScriptedModel([turn, "So."]), [echo]).run(TASK)
    record = RolloutRecord(rollout_id="r", result=result)
    values = record_json(record)
    jsonschema.validate(values, record_schema())
    assert values["reward"] is None
    assert read_record(json.dumps(values)) == record


async def test_a_half_written_last_line_is_reported_after_the_whole_ones(tmp_path, capsys):
    path = tmp_path / "rollouts.jsonl"
    record = await rolled_out(0)
    whole = json.dumps(record_json(record)).encode() + b"\n"
    for cut in (1, 10, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole + whole[:cut])
        reading = read_records(path)
        assert next(reading) == record
        with pytest.raises(TruncatedRecordError, match=f"half written .{cut} bytes"):
            next(reading)
        assert main(["verify", str(path)]) == 0
        assert "half written" in capsys.readouterr().out
    path.write_bytes(whole + whole[:-1])
    assert list(read_records(path)) == [record, record]


async def test_writing_on_after_a_crash_keeps_the_file_readable(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    record = await rolled_out(1)
    line = json.dumps(record_json(record)).encode()
    path.write_bytes(line + b"\n" + line[:40])
    with JsonLines(path) as lines:
        assert lines.torn == 40
        RecordWriter(lines).write(record)
    first, torn, last = read_records(path)
    assert first == last == record
    assert torn.kind == "TruncatedRecordError"
    assert "40 bytes" in torn.message


async def test_records_of_the_version_before_are_read():
    record = await rolled_out(2)
    values = record_json(record)
    for name in (
        "version",
        "model",
        "seed",
        "started",
        "sampling",
        "turn_records",
        "compactions",
        "tools",
        "toolsets",
    ):
        del values[name]
    values["isolation"] = values.pop("sandbox")["isolation"]
    for entry in values["tool_calls"]:
        del entry["schema_valid"], entry["kept_at"]
    old = read_record(json.dumps(values))
    assert old.sandbox == {"isolation": "none"}
    assert old.result.segments == record.result.segments
    assert old.result.messages == record.result.messages
    assert (old.reward, old.seed, old.model) == (0.5, None, "")
    failure = {"type": "failure", "rollout_id": "r", "group_id": "g", "kind": "K", "message": "m"}
    assert read_record(json.dumps(failure)).kind == "K"


async def test_a_newer_version_and_broken_lines_are_refused_by_name(tmp_path):
    values = record_json(await rolled_out(3))
    for change, what in (
        ({"version": 2}, "the version is 2"),
        ({"stop_reason": "tired"}, "stop_reason is 'tired'"),
        ({"reward": "high"}, "reward is 'high'"),
        ({"type": "thought"}, "type is 'thought'"),
        ({"messages": [1]}, "an entry of messages is a int"),
        ({"seed": 1.5}, "seed is 1.5"),
    ):
        with pytest.raises(SavedRolloutError, match=what):
            read_record(json.dumps({**values, **change}))
    path = tmp_path / "x.jsonl"
    path.write_text("{}\n")
    with pytest.raises(SavedRolloutError, match="line 1: the field 'type' is missing"):
        list(read_records(path))
    with JsonLines(tmp_path / "y.jsonl") as lines, pytest.raises(ValueError, match="JSON"):
        lines.write({"reward": float("nan")})
