"""`/v1/completions` with token ids: stock vLLM, and servers of its shape."""

import time
from collections.abc import Sequence
from typing import Any, cast

from treadle_agent_loop.http import JsonHttpClient
from treadle_agent_loop.model import FinishReason, SamplingParams
from treadle_agent_loop.replies import reading
from treadle_agent_loop.serving import post_for_model
from treadle_agent_loop.transports.base import (
    Completion,
    check_echo,
    first_choice,
    read_ids,
    read_numbers,
    sampling_fields,
    weight_version,
)

_PATH = "/completions"
_REMEDY = (
    "it must honour return_token_ids on /v1/completions (vLLM does), or be used as a chat server"
)


class VllmCompletions:
    """Prompt ids in, `token_ids` and `token_logprobs` out, the prompt echoed."""

    name = "vllm-completions"
    scales_top_p = True

    def __init__(self, http: JsonHttpClient, model: str) -> None:
        self._http = http
        self._model = model

    async def sample(
        self, prompt: Sequence[int], sampling: SamplingParams, *, turn: int = 0
    ) -> Completion:
        """Sample one continuation; see `TokenTransport.sample`."""
        payload = {
            "model": self._model,
            "prompt": list(prompt),
            "n": 1,
            "logprobs": 1,
            "return_token_ids": True,
            **sampling_fields(sampling, turn),
        }
        started = time.monotonic()
        answer = await post_for_model(self._http, _PATH, payload)
        seconds = time.monotonic() - started
        with reading(_PATH):
            choice = first_choice(answer)
            check_echo(prompt, choice.get("prompt_token_ids", answer.get("prompt_token_ids")))
            logprobs = cast("dict[str, Any]", choice.get("logprobs") or {})
            return Completion(
                ids=read_ids(choice.get("token_ids"), _REMEDY),
                logprobs=read_numbers(logprobs.get("token_logprobs")),
                length_stop=choice.get("finish_reason") == FinishReason.LENGTH,
                weight_version=weight_version(
                    choice.get("weight_versions"),
                    answer.get("weight_version"),
                    choice.get("weight_version"),
                ),
                seconds=seconds,
            )

    async def best_logprob(self, prompt: Sequence[int], temperature: float) -> float | None:
        """Ask for the likeliest next token; see `TokenTransport.best_logprob`."""
        payload = {
            "model": self._model,
            "prompt": list(prompt),
            "max_tokens": 1,
            "temperature": temperature,
            "logprobs": 1,
            "seed": 0,
        }
        choice = first_choice(await post_for_model(self._http, _PATH, payload))
        logprobs = cast("dict[str, Any]", choice.get("logprobs") or {})
        tops = cast("list[dict[str, float]]", logprobs.get("top_logprobs") or [])
        return max(tops[0].values()) if tops and tops[0] else None
