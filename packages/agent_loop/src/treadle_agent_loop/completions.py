"""The wire of `/v1/completions` with token ids, as stock vLLM speaks it.

What comes back is checked before anything else sees it: ids must be there, and the prompt that the
server echoes must be the prompt that was sent.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from treadle_agent_loop.errors import ModelServerError, TokenProtocolError
from treadle_agent_loop.http import JsonHttpClient
from treadle_agent_loop.model import FinishReason, SamplingParams
from treadle_agent_loop.serving import post_for_model, turn_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled continuation."""

    ids: tuple[int, ...]
    logprobs: tuple[float | None, ...] | None
    """As sent, one per id or not; None when the server sent none."""
    length_stop: bool
    """Whether the token limit ended it."""
    weight_version: str | None
    seconds: float


async def complete(
    http: JsonHttpClient,
    model: str,
    prompt: Sequence[int],
    sampling: SamplingParams,
    *,
    turn: int = 0,
) -> Completion:
    """Sample one continuation of prompt ids.

    Raises:
        TokenProtocolError: no token ids came back, or the server used another prompt.
        ModelServerError: unreachable, failing, or an answer without choices.
    """
    payload: dict[str, Any] = {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "n": 1,
        "logprobs": 1,
        "return_token_ids": True,
        "skip_special_tokens": False,
    }
    if sampling.stop:
        payload["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        payload["seed"] = turn_seed(sampling.seed, turn)
    started = time.monotonic()
    answer = await post_for_model(http, "/completions", payload)
    seconds = time.monotonic() - started
    choice = _choice(answer)
    _check_echo(prompt, choice.get("prompt_token_ids", answer.get("prompt_token_ids")))
    version = answer.get("weight_version", choice.get("weight_version"))
    return Completion(
        ids=_ids(choice),
        logprobs=_logprobs(choice),
        length_stop=choice.get("finish_reason") == FinishReason.LENGTH,
        weight_version=str(version) if version is not None else None,
        seconds=seconds,
    )


async def detect_logprobs_mode(http: JsonHttpClient, model: str, prompt: Sequence[int]) -> str:
    """Return `raw`, `processed` or `unknown`: do the logprobs follow the temperature?"""
    best: list[float] = []
    for temperature in (1.0, 0.25):
        payload = {
            "model": model,
            "prompt": list(prompt),
            "max_tokens": 1,
            "temperature": temperature,
            "logprobs": 1,
            "seed": 0,
        }
        choice = _choice(await post_for_model(http, "/completions", payload))
        logprobs = cast("dict[str, Any]", choice.get("logprobs") or {})
        tops = cast("list[dict[str, float]]", logprobs.get("top_logprobs") or [])
        if not tops or not tops[0]:
            return "unknown"
        best.append(max(tops[0].values()))
    if best[0] > -1e-3:
        return "unknown"  # so sure of itself that the temperature changes nothing
    return "raw" if abs(best[0] - best[1]) < 1e-4 else "processed"


def _choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices = cast("list[dict[str, Any]]", answer.get("choices") or [])
    if not choices:
        raise ModelServerError("the server answered without choices")
    if choices[0].get("finish_reason") in ("abort", "error"):
        raise ModelServerError("the server aborted the request")
    return choices[0]


def _ids(choice: Mapping[str, Any]) -> tuple[int, ...]:
    ids: Any = choice.get("token_ids")
    if not isinstance(ids, list) or not all(
        isinstance(index, int) for index in cast("list[Any]", ids)
    ):
        raise TokenProtocolError(
            "the server returned no token ids; it must honour return_token_ids on /v1/completions "
            "(vLLM does), or be used as a chat server"
        )
    return tuple(cast("list[int]", ids))


def _logprobs(choice: Mapping[str, Any]) -> tuple[float | None, ...] | None:
    logprobs = choice.get("logprobs")
    values = cast("dict[str, Any]", logprobs).get("token_logprobs") if logprobs else None
    if not isinstance(values, list):
        return None
    return tuple(
        float(value) if isinstance(value, int | float) else None
        for value in cast("list[Any]", values)
    )


def _check_echo(sent: Sequence[int], echoed: Any) -> None:
    if echoed is None:
        return
    used = cast("list[int]", echoed)
    if list(sent) == used:
        return
    first = next(
        (place for place, (a, b) in enumerate(zip(sent, used, strict=False)) if a != b),
        min(len(sent), len(used)),
    )
    raise TokenProtocolError(
        f"the server changed the prompt: {len(sent)} ids were sent, it used {len(used)}, and they "
        f"differ from position {first} on"
    )
