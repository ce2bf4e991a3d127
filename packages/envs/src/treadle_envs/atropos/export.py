"""From a scored group to what the trajectory API takes: sequences, masks, scores, logprobs.

Pure functions on plain data; nothing of atroposlib is imported. Every segment of every rollout is
one sequence with its rollout's score. `masks` hold the token id where it is trained and -100
elsewhere; `inference_logprobs` the sampling logprob where trained and 1.0 elsewhere.

A trainer's length limit never takes a whole group: a longer sequence is cut at the limit, and
`overrides` says so. A group of a chat server has no tokens: one empty sequence per rollout carries
its messages and score.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from treadle_agent_loop.model import Message, Segment
from treadle_envs.errors import GroupLostError, PayloadError
from treadle_envs.records import LossReason, ScoredGroup, ScoredRollout

Payload = dict[str, Any]
"""The body of a `POST /scored_data`, without its `env_id`."""

MASKED = -100
MASKED_LOGPROB = 1.0
_PARALLEL = ("tokens", "masks", "scores", "inference_logprobs", "overrides")
_EMPTY = Segment(tokens=(), masks=(), logprobs=())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    rollout: ScoredRollout
    index: int
    segment: Segment
    cut: int


def group_payload(
    group: ScoredGroup,
    *,
    group_size: int,
    token_exact: bool,
    max_length: int = -1,
    include_messages: bool = True,
) -> Payload:
    """Return a group as the API takes it.

    `group_size` is the size the environment registered with; `max_length` the trainer's limit in
    tokens, which sequences must stay below (none when it isn't positive).

    Raises:
        GroupLostError: no sequence of it has a token to train on.
    """
    sequences = list(_sequences(group, max_length)) if token_exact else _empty_sequences(group)
    if not sequences:
        too_long = max_length > 0 and any(_sequences(group, -1))
        reason = LossReason.TOO_LONG if too_long else LossReason.NO_SEQUENCES
        raise GroupLostError(
            reason,
            f"group {group.group_id} has nothing to train on"
            + (f" within the trainer's {max_length} tokens: raise its limit" if too_long else ""),
        )
    count = len(sequences)
    return {
        "tokens": [list(sequence.segment.tokens) for sequence in sequences],
        "masks": [list(sequence.segment.masks) for sequence in sequences],
        "scores": [sequence.rollout.reward for sequence in sequences],
        "advantages": None,
        "ref_logprobs": None,
        "messages": [_clean(sequence.rollout.result.messages) for sequence in sequences]
        if include_messages
        else None,
        "generation_params": None,
        "inference_logprobs": [list(sequence.segment.logprobs) for sequence in sequences],
        "overrides": [_provenance(sequence) for sequence in sequences],
        "group_overrides": {} if count == group_size else {"group_size": count},
        "images": None,
    }


def check_payload(payload: Mapping[str, Any]) -> None:
    """Prove that a payload keeps the rules of the API and of the encoding.

    Raises:
        PayloadError: it doesn't; the message names the rule and the place.
    """
    count = len(payload["tokens"])
    for name in ("masks", "scores", "inference_logprobs", "messages", "overrides", "advantages"):
        column = payload.get(name)
        if column is None and name in {"messages", "overrides", "advantages"}:
            continue
        if column is None or len(column) != count:
            raise PayloadError(f"{name} needs {count} entries, one for each token sequence")
    for index in range(count):
        _check_sequence(payload, index)
    for index, messages in enumerate(payload.get("messages") or []):
        for message in messages:
            if not isinstance(message.get("content"), str) or not message.get("role"):
                raise PayloadError(f"sequence {index}: a message lacks its role or content text")


def pieces(payload: Payload, size: int) -> list[Payload]:
    """Split a payload of more than `size` sequences into pieces the API can queue.

    The API holds back a group that isn't of the registered size until others fill it up, and one
    that is larger for ever. The first segments of all rollouts come first, so that the first piece
    has the scores of the whole group; all pieces carry token advantages from the whole group, for
    trainers that read them.
    """
    count = len(payload["tokens"])
    if count <= size:
        return [payload]
    order = sorted(range(count), key=lambda index: payload["overrides"][index]["segment"])
    advantages = _advantages(payload)
    whole = {**payload, "advantages": advantages}
    chunks = [order[start : start + size] for start in range(0, count, size)]
    return [_selected(whole, chunk, size) for chunk in chunks]


def _sequences(group: ScoredGroup, max_length: int) -> Iterator[_Sequence]:
    for rollout in group.rollouts:
        for index, segment in enumerate(rollout.result.segments):
            keep = len(segment.tokens)
            if max_length > 0:
                keep = min(keep, max_length - 1)
            if all(mask == MASKED for mask in segment.masks[:keep]):
                continue
            kept = Segment(
                tokens=segment.tokens[:keep],
                masks=segment.masks[:keep],
                logprobs=segment.logprobs[:keep],
                turns=segment.turns,
            )
            cut = len(segment.tokens) - keep
            yield _Sequence(rollout=rollout, index=index, segment=kept, cut=cut)


def _empty_sequences(group: ScoredGroup) -> list[_Sequence]:
    return [
        _Sequence(rollout=rollout, index=0, segment=_EMPTY, cut=0) for rollout in group.rollouts
    ]


def _provenance(sequence: _Sequence) -> dict[str, Any]:
    origin: dict[str, Any] = {
        "rollout_id": sequence.rollout.rollout_id,
        "segment": sequence.index,
    }
    return {**origin, "cut_tokens": sequence.cut} if sequence.cut else origin


def _clean(messages: Sequence[Message]) -> list[Message]:
    """Give every message its `content`: the API refuses a tool-call message without one."""
    return [{**message, "content": message.get("content") or ""} for message in messages]


def _check_sequence(payload: Mapping[str, Any], index: int) -> None:
    tokens: list[int] = payload["tokens"][index]
    masks: list[int] = payload["masks"][index]
    logprobs: list[float] = payload["inference_logprobs"][index]
    if not len(tokens) == len(masks) == len(logprobs):
        raise PayloadError(
            f"sequence {index} has {len(tokens)} tokens, {len(masks)} masks and {len(logprobs)} "
            "logprobs: they must be equally many"
        )
    if not math.isfinite(payload["scores"][index]):
        raise PayloadError(f"sequence {index} has the score {payload['scores'][index]}")
    for position, (token, mask, logprob) in enumerate(zip(tokens, masks, logprobs, strict=True)):
        trained = mask == token
        if not trained and mask != MASKED:
            raise PayloadError(f"sequence {index}, token {position}: mask {mask} for id {token}")
        sampled = math.isfinite(logprob) and logprob <= 0
        if (trained and not sampled) or (not trained and logprob != MASKED_LOGPROB):
            raise PayloadError(f"sequence {index}, token {position}: logprob {logprob}")


def _advantages(payload: Payload) -> list[list[float]]:
    """Return each sequence's normalised score over the rollouts, repeated for every token."""
    by_rollout = {
        origin["rollout_id"]: score
        for origin, score in zip(payload["overrides"], payload["scores"], strict=True)
    }
    scores = list(by_rollout.values())
    mean = math.fsum(scores) / len(scores)
    spread = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / len(scores))
    return [
        [(score - mean) / max(spread, 1e-8)] * len(tokens)
        for score, tokens in zip(payload["scores"], payload["tokens"], strict=True)
    ]


def _selected(payload: Payload, indices: Sequence[int], size: int) -> Payload:
    piece = dict(payload)
    for name in (*_PARALLEL, "messages", "advantages"):
        if payload.get(name) is not None:
            piece[name] = [payload[name][index] for index in indices]
    piece["group_overrides"] = {} if len(indices) == size else {"group_size": len(indices)}
    return piece
