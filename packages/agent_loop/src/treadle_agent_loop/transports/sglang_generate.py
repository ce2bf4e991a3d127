"""`/generate` of SGLang with token ids: `input_ids` in, `output_ids` with logprobs out.

Its logprobs follow the temperature and not top-p; with `SGLANG_RETURN_ORIGINAL_LOGPROB=1` in the
server's environment they follow neither. Servers that echo no prompt ids at least count them, and
that count is compared.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from treadle_agent_loop.errors import ModelServerError, TokenProtocolError
from treadle_agent_loop.http import JsonHttpClient
from treadle_agent_loop.model import FinishReason, SamplingParams
from treadle_agent_loop.replies import reading
from treadle_agent_loop.transports.base import (
    Completion,
    check_echo,
    read_ids,
    read_numbers,
    sampling_fields,
    weight_version,
)

_PATH = "/generate"
_REMEDY = "/generate must answer output_ids or output_token_logprobs, as SGLang does"


class SglangGenerate:
    """Prompt ids in, sampled ids with `[logprob, id, text]` entries out."""

    name = "sglang"
    scales_top_p = False

    def __init__(self, http: JsonHttpClient, model: str) -> None:
        self._http = http
        self._model = model

    async def sample(
        self, prompt: Sequence[int], sampling: SamplingParams, *, turn: int = 0
    ) -> Completion:
        """Sample one continuation; see `TokenTransport.sample`."""
        names = {"most": "max_new_tokens", "seed": "sampling_seed"}
        parameters = {**sampling_fields(sampling, turn, **names), "no_stop_trim": True}
        started = time.monotonic()
        answer = await self._post(prompt, parameters)
        seconds = time.monotonic() - started
        with reading(_PATH):
            facts = _facts(answer)
            check_echo(prompt, answer.get("prompt_token_ids"))
            _check_count(len(prompt), facts.get("prompt_tokens"))
            ids, logprobs = _sampled(answer, facts)
            return Completion(
                ids=ids,
                logprobs=logprobs,
                length_stop=_finish(facts) == FinishReason.LENGTH,
                weight_version=weight_version(
                    facts.get("weight_versions"), facts.get("weight_version")
                ),
                seconds=seconds,
            )

    async def best_logprob(self, prompt: Sequence[int], temperature: float) -> float | None:
        """Ask for the likeliest next token; see `TokenTransport.best_logprob`."""
        parameters = {"max_new_tokens": 1, "temperature": temperature}
        facts = _facts(await self._post(prompt, parameters, top_logprobs_num=1))
        tops = cast("list[list[list[Any]]]", facts.get("output_top_logprobs") or [])
        entries = (tops[0] or []) if tops else []
        return max((float(entry[0]) for entry in entries), default=None)

    async def _post(
        self, prompt: Sequence[int], parameters: Mapping[str, Any], **more: Any
    ) -> dict[str, Any]:
        payload = {
            "input_ids": list(prompt),
            "sampling_params": parameters,
            "return_logprob": True,
            "return_prompt_token_ids": True,
            "stream": False,
            **more,
        }
        return await self._http.post(_PATH, payload, at_root=True)


def _facts(answer: Mapping[str, Any]) -> dict[str, Any]:
    facts = answer.get("meta_info")
    if not isinstance(facts, dict):
        raise TokenProtocolError("/generate answered without meta_info: it is no SGLang server")
    known = cast("dict[str, Any]", facts)
    if _finish(known) == "abort":
        reason = cast("dict[str, Any]", known["finish_reason"])
        raise ModelServerError(f"the server aborted the request: {reason.get('message')}")
    return known


def _finish(facts: Mapping[str, Any]) -> str:
    reason: Any = facts.get("finish_reason")
    if isinstance(reason, dict):
        return str(cast("dict[str, Any]", reason).get("type"))
    return str(reason)


def _check_count(sent: int, counted: Any) -> None:
    if isinstance(counted, int) and counted != sent:
        raise TokenProtocolError(
            f"the server changed the prompt: {sent} ids were sent, it used {counted}"
        )


def _sampled(
    answer: Mapping[str, Any], facts: Mapping[str, Any]
) -> tuple[tuple[int, ...], tuple[float | None, ...] | None]:
    """Return ids and their logprobs; logprobs of other ids than the output's count as none.

    Speculative decoding may tell more logprobs than ids: those after the stop.
    """
    entries = cast("list[list[Any]]", facts.get("output_token_logprobs") or [])
    named = [entry[1] for entry in entries]
    output: Any = answer.get("output_ids")
    ids = read_ids(named if output is None and named else output, _REMEDY)
    if named[: len(ids)] != list(ids):
        return ids, None
    return ids, read_numbers([entry[0] for entry in entries[: len(ids)]])
