"""Saved rollouts are proven, and refuted once anything in them has changed.

The files are written from real rollouts on the toy server, in the form of `treadle_envs.recording`.
"""

import asyncio
import copy
import json
import math
from dataclasses import asdict
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop import (
    AgentLoop,
    RewritePolicy,
    RolloutResult,
    StopReason,
    TokenClient,
    tool,
)
from treadle_agent_loop.errors import SavedRolloutError
from treadle_agent_loop.model import SamplingParams, Usage
from treadle_agent_loop.proof import Promise, TextProof, check_tokens, read_rollout
from treadle_agent_loop.testing import ToyServer
from treadle_agent_loop.testing.templates import CLOSES, TEMPLATES
from treadle_agent_loop.testing.tokenizers import toy_tokenizer

HELLO = {"role": "user", "content": "Hello."}


@tool
async def echo(text: str) -> str:
    """Say it back."""
    return text


def saved(result):
    """In the form of a file: what JSON makes of it."""
    record = {
        "type": "rollout",
        "rollout_id": "g/0",
        "turns": result.turns,
        "messages": result.messages,
        "segments": [asdict(segment) for segment in result.segments],
        "ledger": asdict(result.ledger),
        "usage": {"completion_tokens": result.usage.completion_tokens},
    }
    return json.loads(json.dumps(record))


def line(record):
    return json.dumps(record).encode()


def call_text(text):
    arguments = json.dumps({"text": text})
    return f'\n<tool_call>\n{{"name": "echo", "arguments": {arguments}}}\n</tool_call>'


@cache
def rollout(name, policy=RewritePolicy.BRANCH, text="<|im_end|> \\boxed{42}", lie=False, limit=999):
    tokenizer = toy_tokenizer(name)
    close = CLOSES.get(name, "<|im_end|>") or "<|endoftext|>"
    thought = "<think>\nHm.\n</think>\n\n"
    answers = iter([thought + "One." + call_text(text) + close, "Two." + call_text("b") + close])

    async def run():
        async with (
            ToyServer(
                tokenizer=tokenizer,
                tokens=lambda prompt: next(answers, thought + "The end." + close),
                logprobs=(lambda values: [0.5, *values[1:]]) if lie else None,
            ) as server,
            TokenClient(
                base_url=server.base_url, model="toy", tokenizer=tokenizer, rewrite_policy=policy
            ) as client,
        ):
            loop = AgentLoop(client, [echo], sampling=SamplingParams(max_tokens=limit))
            return await loop.run([HELLO])

    return saved(asyncio.run(run()))


def breaches(record):
    found = read_rollout(line(record))
    assert found is not None
    return list(check_tokens(found))


@pytest.mark.parametrize("lie", [False, True])
@pytest.mark.parametrize("policy", [RewritePolicy.BRANCH, RewritePolicy.APPEND_ONLY])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_sound_rollout_is_proven_on_every_template(name, policy, lie):
    record = rollout(name, policy, lie=lie)
    assert record["ledger"]["sampled"] > 0
    assert breaches(record) == []
    proof = TextProof(toy_tokenizer(name))
    assert list(proof.check(read_rollout(line(record)))) == []
    assert proof.turns == record["turns"]


@cache
def branched(name="append", said="Hi.<|im_end|>"):
    """A session that goes on twice from its first turn; its conversation isn't one line."""
    tokenizer = toy_tokenizer(name)

    async def run():
        async with (
            ToyServer(tokenizer=tokenizer, tokens=lambda prompt: said) as server,
            TokenClient(base_url=server.base_url, model="toy", tokenizer=tokenizer) as client,
        ):
            session = client.session()
            first = await session.complete([HELLO], (), SamplingParams())
            for text in ("More.", "Other."):
                history = [HELLO, first.message, {"role": "user", "content": text}]
                await session.complete(history, (), SamplingParams())
            return session.segments(), session.report()

    segments, report = asyncio.run(run())
    return saved(
        RolloutResult(
            messages=(HELLO,),
            stop_reason=StopReason.FINISHED,
            turns=3,
            tool_records=(),
            segments=segments,
            ledger=report,
            usage=Usage(completion_tokens=report.sampled),
            model_seconds=0.0,
            tool_seconds=0.0,
        )
    )


def forked():
    return branched()


def rewritten():
    return branched("forgets_thinking", "<think>\nHm.\n</think>\n\nHi.<|im_end|>")


def test_a_fork_is_proven_with_the_spans_it_shares():
    assert [segment["origin"] for segment in forked()["segments"]] == ["start", "fork"]
    assert breaches(forked()) == []


def test_rewritten_history_is_proven_in_its_linked_segments():
    origins = [segment["origin"] for segment in rewritten()["segments"]]
    assert origins == ["start", "rewrite", "rewrite"]
    assert breaches(rewritten()) == []


def records():
    return (
        rollout("append"),
        rollout("no_close", limit=20),
        rewritten(),
        rollout("plain"),
        rollout("append", lie=True),
        forked(),
    )


def refuted(record):
    """Whether the record is refuted, as an unreadable one or by a broken promise."""
    try:
        return bool(breaches(record))
    except SavedRolloutError:
        return True


FIELDS = ("tokens", "masks", "logprobs")
NUMBERS = {
    "tokens": st.integers(-1, 700),
    "masks": st.integers(-101, 700),
    "logprobs": st.floats(-20, 2) | st.sampled_from([math.nan, math.inf, -math.inf, -9999.0, 1.0]),
}


@given(data=st.data())
def test_one_changed_id_mask_or_logprob_is_refuted(data):
    record = copy.deepcopy(data.draw(st.sampled_from(records())))
    segment = data.draw(st.sampled_from(record["segments"]))
    field = data.draw(st.sampled_from(FIELDS))
    place = data.draw(st.integers(0, len(segment[field]) - 1))
    before = segment[field][place]
    segment[field][place] = data.draw(NUMBERS[field].filter(lambda value: value != before))
    assert refuted(record)


@given(data=st.data())
def test_one_lost_or_doubled_entry_is_refuted(data):
    record = copy.deepcopy(data.draw(st.sampled_from(records())))
    segment = data.draw(st.sampled_from(record["segments"]))
    entries = segment[data.draw(st.sampled_from([*FIELDS, "spans"]))]
    place = data.draw(st.integers(0, len(entries) - 1))
    if data.draw(st.booleans()):
        del entries[place]
    else:
        entries.insert(place, entries[place])
    assert refuted(record)


@given(data=st.data())
def test_one_changed_count_is_refuted(data):
    record = copy.deepcopy(data.draw(st.sampled_from(records())))
    counts = [
        *((record["ledger"], name) for name in ("sampled", "trained", "rendered", "synthesised")),
        (record["ledger"], "soft_boundaries"),
        (record, "turns"),
        (record["usage"], "completion_tokens"),
        *((record["ledger"]["dropped"], name) for name in record["ledger"]["dropped"]),
        *((span, "length") for segment in record["segments"] for span in segment["spans"]),
        *((span, "turn") for segment in record["segments"] for span in segment["spans"]),
    ]
    place, name = data.draw(st.sampled_from(counts))
    place[name] += data.draw(st.sampled_from([-2, -1, 1, 2]))
    assert refuted(record)


@given(data=st.data())
def test_one_changed_span_is_refuted(data):
    record = copy.deepcopy(data.draw(st.sampled_from(records())))
    spans = [span for segment in record["segments"] for span in segment["spans"]]
    span = data.draw(st.sampled_from(spans))
    kinds = st.sampled_from(["rendered", "sampled", "synthesised_close", "unheard_of"])
    change = data.draw(st.sampled_from(["kind", "soft", "digest"]))
    if change == "kind":
        span["kind"] = data.draw(kinds.filter(lambda kind: kind != span["kind"]))
    elif change == "soft":
        span["soft"] = not span["soft"]
    elif span["kind"] == "sampled":
        span["ids_digest"] = data.draw(st.sampled_from(["", "00"]))
    else:
        del span["message"]
    assert refuted(record)


@pytest.mark.parametrize(
    ("field", "value"),
    [("turns", []), ("turns", [0]), ("origin", "rewrite"), ("origin", "?"), ("parent", 0)],
)
def test_a_changed_lineage_is_refuted(field, value):
    record = copy.deepcopy(rollout("append"))
    record["segments"][0][field] = value
    assert refuted(record)


def test_a_missing_segment_is_refuted_by_conservation():
    record = copy.deepcopy(rewritten())
    assert len(record["segments"]) > 1
    del record["segments"][-1]
    assert Promise.CONSERVATION in {breach.promise for breach in breaches(record)}


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_a_field_of_any_other_type_is_a_clear_error(value):
    for field in ("segments", "ledger", "messages", "usage", "turns", "rollout_id"):
        record = {**rollout("append"), field: value}
        if isinstance(value, list | int | str):
            continue
        with pytest.raises(SavedRolloutError):
            read_rollout(line(record))


def test_a_changed_message_is_refuted_with_the_tokenizer():
    record = copy.deepcopy(rollout("append"))
    record["messages"][-1]["content"] = "Another end."
    (breach,) = TextProof(toy_tokenizer()).check(read_rollout(line(record)))
    assert breach.promise is Promise.PROVENANCE
    assert "Another end." in breach.what


def test_a_control_token_from_a_tool_result_is_refuted_with_the_tokenizer():
    tokenizer = toy_tokenizer()
    record = copy.deepcopy(rollout("append"))
    segment = record["segments"][0]
    start = segment["spans"][0]["length"] + segment["spans"][1]["length"]
    segment["tokens"][start + 3] = tokenizer.id_of("<|im_end|>")
    found = TextProof(tokenizer).check(read_rollout(line(record)))
    assert Promise.INJECTION in {breach.promise for breach in found}
