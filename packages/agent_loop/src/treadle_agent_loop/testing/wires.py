"""The JSON shapes of the engines that `ToyServer` plays, from one sampled answer.

Taken from vLLM 0.32 and SGLang 0.5.23: field names, nesting, and what they do with odd requests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What a token request asks for, whatever its shape."""

    prompt: list[int]
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """What the toy engine sampled."""

    prompt: list[int]
    """Prompt ids as the server tells them."""
    ids: list[int]
    text: str
    logprobs: list[float | None] | None
    stopped: bool
    """Whether it ended by itself, not by the token limit."""


def read_completions(body: Mapping[str, Any]) -> TokenRequest:
    """Read a `/v1/completions` request."""
    return TokenRequest(prompt=list(body["prompt"]), max_tokens=int(body["max_tokens"]))


def write_completions(answer: TokenAnswer, body: Mapping[str, Any]) -> dict[str, Any]:
    """Write vLLM's answer; ids are in it only where they were asked for."""
    choice: dict[str, Any] = {
        "index": 0,
        "text": answer.text,
        "finish_reason": "stop" if answer.stopped else "length",
        "logprobs": None if answer.logprobs is None else {"token_logprobs": answer.logprobs},
    }
    if body.get("return_token_ids"):
        choice["token_ids"] = answer.ids
        choice["prompt_token_ids"] = answer.prompt
    return {"object": "text_completion", "model": body["model"], "choices": [choice]}


def read_vllm_generate(body: Mapping[str, Any]) -> TokenRequest:
    """Read a `/inference/v1/generate` request; vLLM samples 16 tokens where no limit is given."""
    parameters = cast("dict[str, Any]", body["sampling_params"])
    return TokenRequest(
        prompt=list(body["token_ids"]), max_tokens=int(parameters.get("max_tokens", 16))
    )


def write_vllm_generate(answer: TokenAnswer, body: Mapping[str, Any]) -> dict[str, Any]:
    """Write vLLM's answer, with weight versions by spans of the sampled ids."""
    content: list[dict[str, Any]] | None = None
    if answer.logprobs is not None and "logprobs" in body["sampling_params"]:
        content = [
            {"token_id": index, "logprob": value, "rank": 1, "top_logprobs": []}
            for index, value in zip(answer.ids, answer.logprobs, strict=False)
        ]
    choice = {
        "index": 0,
        "logprobs": None if content is None else {"content": content},
        "finish_reason": "stop" if answer.stopped else "length",
        "stop_reason": None,
        "token_ids": answer.ids,
        "weight_versions": [{"start": 0, "end": len(answer.ids), "version": "default"}],
    }
    echoed = answer.prompt if body.get("return_token_ids") else None
    return {"request_id": "toy", "choices": [choice], "prompt_token_ids": echoed}


def read_sglang(body: Mapping[str, Any]) -> TokenRequest:
    """Read a `/generate` request; SGLang samples 128 tokens where no limit is given."""
    parameters = cast("dict[str, Any]", body.get("sampling_params") or {})
    return TokenRequest(
        prompt=list(body["input_ids"]), max_tokens=int(parameters.get("max_new_tokens", 128))
    )


def write_sglang(answer: TokenAnswer, body: Mapping[str, Any]) -> dict[str, Any]:
    """Write SGLang's answer; logprobs are triples of value, id and text."""
    reason: dict[str, Any] = {"type": "length", "length": len(answer.ids)}
    if answer.stopped:
        reason = {"type": "stop", "matched": answer.ids[-1] if answer.ids else None}
    facts: dict[str, Any] = {
        "id": "toy",
        "finish_reason": reason,
        "prompt_tokens": len(answer.prompt),
        "completion_tokens": len(answer.ids),
        "cached_tokens": 0,
        "weight_version": "default",
    }
    if body.get("return_logprob") and answer.logprobs is not None:
        facts["input_token_logprobs"] = []
        facts["output_token_logprobs"] = [
            [value, index, None] for value, index in zip(answer.logprobs, answer.ids, strict=False)
        ]
    written: dict[str, Any] = {
        "text": answer.text,
        "output_ids": answer.ids,
        "meta_info": facts,
    }
    if body.get("return_prompt_token_ids"):
        written["prompt_token_ids"] = answer.prompt
    return written


def chat_chunks(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Cut a chat answer into the deltas of a stream: text and arguments in pieces of four."""
    choice = cast("dict[str, Any]", answer["choices"][0])
    message = cast("dict[str, Any]", choice["message"])
    yield _chunk({"role": "assistant", "content": ""})
    for name in ("reasoning_content", "content"):
        for piece in _pieces(message.get(name) or ""):
            yield _chunk({name: piece})
    for index, call in enumerate(cast("list[dict[str, Any]]", message.get("tool_calls") or [])):
        head = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        yield _chunk({"tool_calls": [head]})
        for piece in _pieces(call["function"]["arguments"]):
            yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _chunk({}, choice["finish_reason"])
    yield {"object": "chat.completion.chunk", "choices": [], "usage": answer["usage"]}


def _chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def _pieces(text: str) -> Sequence[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]
