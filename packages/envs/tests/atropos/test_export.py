"""Scored groups as the trajectory API takes them."""

from typing import Any

import pytest
from atroposlib.api.server import ScoredData
from hypothesis import given
from hypothesis import strategies as st

from treadle_agent_loop.model import LedgerReport, Segment, Usage
from treadle_agent_loop.rollout import RolloutResult, StopReason
from treadle_envs.atropos.export import check_payload, group_payload, pieces
from treadle_envs.errors import GroupLostError, PayloadError
from treadle_envs.records import LossReason, ScoredGroup, ScoredRollout

MESSAGES = (
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    {"role": "tool", "tool_call_id": "1", "content": "5"},
    {"role": "assistant", "content": "\\boxed{5}"},
)


def segment(length: int, *, trained_from: int = 1, first: int = 10) -> Segment:
    tokens = tuple(range(first, first + length))
    return Segment(
        tokens=tokens,
        masks=tuple(t if place >= trained_from else -100 for place, t in enumerate(tokens)),
        logprobs=tuple(-0.5 if place >= trained_from else 1.0 for place in range(length)),
    )


def rollout(index: int, reward: float, *segments: Segment) -> ScoredRollout:
    result = RolloutResult(
        messages=MESSAGES,
        stop_reason=StopReason.FINISHED,
        turns=2,
        tool_records=(),
        segments=segments,
        ledger=LedgerReport(),
        usage=Usage(),
        model_seconds=0.0,
        tool_seconds=0.0,
    )
    return ScoredRollout(
        rollout_id=f"g/{index}",
        group_id="g",
        item_id="i",
        reward=reward,
        result=result,
        isolation="none",
        seconds=0.0,
    )


def group(*rollouts: ScoredRollout) -> ScoredGroup:
    return ScoredGroup(group_id="g", item_id="i", rollouts=rollouts)


def payload_of(*rollouts: ScoredRollout, **options: Any) -> dict[str, Any]:
    options = {"group_size": len(rollouts), "token_exact": True, **options}
    payload = group_payload(group(*rollouts), **options)
    check_payload(payload)
    return payload


def test_every_message_is_sent_with_content_so_that_the_api_takes_it():
    payload = payload_of(rollout(0, 1.0, segment(4)))
    assert payload["messages"][0][1]["content"] == ""
    ScoredData(**payload, env_id=0)


def test_every_segment_becomes_a_sequence_with_its_rollouts_score():
    payload = payload_of(
        rollout(0, 1.0, segment(4), segment(6)), rollout(1, 0.0, segment(5)), group_size=2
    )
    assert [len(tokens) for tokens in payload["tokens"]] == [4, 6, 5]
    assert payload["scores"] == [1.0, 1.0, 0.0]
    assert payload["group_overrides"] == {"group_size": 3}
    assert payload["overrides"][1] == {"rollout_id": "g/0", "segment": 1}


def test_a_sequence_over_the_trainers_limit_is_cut_and_says_so():
    payload = payload_of(rollout(0, 1.0, segment(10)), rollout(1, 0.0, segment(4)), max_length=8)
    assert [len(tokens) for tokens in payload["tokens"]] == [7, 4]
    assert payload["overrides"][0]["cut_tokens"] == 3


def test_a_group_whose_prompt_fills_the_limit_is_lost_as_too_long():
    with pytest.raises(GroupLostError, match="raise its limit") as caught:
        payload_of(rollout(0, 1.0, segment(10, trained_from=9)), max_length=8)
    assert caught.value.reason is LossReason.TOO_LONG


def test_a_group_without_a_trained_token_is_lost():
    with pytest.raises(GroupLostError) as caught:
        payload_of(rollout(0, 1.0), rollout(1, 0.0, segment(3, trained_from=3)))
    assert caught.value.reason is LossReason.NO_SEQUENCES


def test_a_group_of_a_chat_server_carries_messages_and_scores_without_tokens():
    payload = payload_of(rollout(0, 1.0), rollout(1, 0.0), token_exact=False)
    assert payload["tokens"] == payload["masks"] == payload["inference_logprobs"] == [[], []]
    assert payload["scores"] == [1.0, 0.0]
    assert len(payload["messages"]) == 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("masks", [[-100, 11, 12]], "3 masks"),
        ("inference_logprobs", [[1.0, -0.5]], "2 logprobs"),
        ("masks", [[-100, 99, 12, 13]], "mask 99 for id 11"),
        ("inference_logprobs", [[1.0, 0.5, -0.5, -0.5]], "logprob 0.5"),
        ("inference_logprobs", [[1.0, float("-inf"), -0.5, -0.5]], "logprob -inf"),
        ("inference_logprobs", [[0.0, -0.5, -0.5, -0.5]], "token 0: logprob 0.0"),
        ("scores", [float("nan")], "score nan"),
        ("scores", [], "scores needs 1 entries"),
        ("messages", [[{"role": "user"}]], "role or content"),
        ("messages", [[{"role": "user", "content": None}]], "role or content"),
    ],
)
def test_a_payload_that_breaks_a_rule_is_refused_before_it_is_sent(
    name: str, value: object, message: str
):
    payload = payload_of(rollout(0, 1.0, segment(4)))
    with pytest.raises(PayloadError, match=message):
        check_payload({**payload, name: value})


SHAPES = st.lists(st.lists(st.integers(1, 12), max_size=4), min_size=1, max_size=6)


@given(SHAPES, st.integers(-1, 14))
def test_any_group_is_lost_or_exported_whole_and_within_the_limit(
    shapes: list[list[int]], limit: int
):
    rollouts = [
        rollout(index, float(index % 2), *(segment(length) for length in lengths))
        for index, lengths in enumerate(shapes)
    ]
    try:
        payload = payload_of(*rollouts, max_length=limit)
    except GroupLostError:
        usable = [length for lengths in shapes for length in lengths if length > 1]
        assert not usable or limit in (1, 2)
        return
    assert all(limit <= 0 or len(tokens) < limit for tokens in payload["tokens"])
    assert all(any(mask != -100 for mask in masks) for masks in payload["masks"])
    ScoredData(**payload, env_id=0)


@given(SHAPES)
def test_pieces_hold_each_sequence_once_and_none_is_larger_than_the_group(
    shapes: list[list[int]],
):
    rollouts = [
        rollout(index, float(index), *(segment(length + 1) for length in lengths))
        for index, lengths in enumerate(shapes)
    ]
    if not any(shapes):
        return
    payload = payload_of(*rollouts)
    size = len(rollouts)
    parts = pieces(payload, size)
    for part in parts:
        check_payload(part)
        assert len(part["tokens"]) <= size
        assert part["group_overrides"].get("group_size", size) == len(part["tokens"])
    origins = [tuple(o.values()) for part in parts for o in part["overrides"]]
    assert sorted(origins) == sorted(tuple(o.values()) for o in payload["overrides"])
    assert parts[:-1] == [part for part in parts if len(part["tokens"]) == size][: len(parts) - 1]


def test_pieces_of_a_large_group_carry_the_advantages_of_the_whole_group():
    payload = payload_of(
        rollout(0, 1.0, segment(3), segment(3)), rollout(1, 0.0, segment(3)), group_size=2
    )
    first, rest = pieces(payload, 2)
    assert first["scores"] == [1.0, 0.0]
    assert first["advantages"] == [[1.0] * 3, [-1.0] * 3]
    assert rest["advantages"] == [[1.0] * 3]
