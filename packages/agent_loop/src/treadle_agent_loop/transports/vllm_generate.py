"""`/inference/v1/generate`: vLLM's own way for token ids, offered with `--enable-scale-out`.

Ids in, ids out; the engine makes no text unless a stop string needs it. It says for spans of the
sampled ids which weights made them.
"""

import time
from collections.abc import Mapping, Sequence
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

_PATH = "/inference/v1/generate"


class VllmGenerate:
    """Prompt ids in, `token_ids` and logprobs by id out."""

    name = "vllm-generate"
    scales_top_p = True

    def __init__(self, http: JsonHttpClient, model: str) -> None:
        self._http = http
        self._model = model

    async def sample(
        self, prompt: Sequence[int], sampling: SamplingParams, *, turn: int = 0
    ) -> Completion:
        """Sample one continuation; see `TokenTransport.sample`."""
        parameters = sampling_fields(sampling, turn)
        parameters["logprobs"] = 0  # the sampled token's own, no others beside it
        if not sampling.stop:
            parameters["detokenize"] = False
        started = time.monotonic()
        answer = await self._post(prompt, parameters)
        seconds = time.monotonic() - started
        with reading(_PATH):
            choice = first_choice(answer)
            check_echo(prompt, answer.get("prompt_token_ids"))
            remedy = f"{_PATH} must answer choices with token_ids, as vLLM 0.32 does"
            return Completion(
                ids=read_ids(choice.get("token_ids"), remedy),
                logprobs=_logprobs(choice),
                length_stop=choice.get("finish_reason") == FinishReason.LENGTH,
                weight_version=weight_version(choice.get("weight_versions")),
                seconds=seconds,
            )

    async def best_logprob(self, prompt: Sequence[int], temperature: float) -> float | None:
        """Ask for the likeliest next token; see `TokenTransport.best_logprob`."""
        parameters = {"max_tokens": 1, "temperature": temperature, "logprobs": 1, "seed": 0}
        content = _content(first_choice(await self._post(prompt, parameters)))
        tops = cast("list[dict[str, Any]]", content[0].get("top_logprobs") or []) if content else []
        return max((float(top["logprob"]) for top in tops), default=None)

    async def _post(self, prompt: Sequence[int], parameters: Mapping[str, Any]) -> dict[str, Any]:
        payload = {
            "model": self._model,
            "token_ids": list(prompt),
            "sampling_params": parameters,
            "return_token_ids": True,
        }
        return await post_for_model(self._http, _PATH, payload, at_root=True)


def _content(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    logprobs = cast("dict[str, Any]", choice.get("logprobs") or {})
    return cast("list[dict[str, Any]]", logprobs.get("content") or [])


def _logprobs(choice: Mapping[str, Any]) -> tuple[float | None, ...] | None:
    """Return the logprobs if they are of the ids that were sampled."""
    content = _content(choice)
    if [entry.get("token_id") for entry in content] != choice.get("token_ids"):
        return None
    return read_numbers([entry.get("logprob") for entry in content])
