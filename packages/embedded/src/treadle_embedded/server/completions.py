"""`POST /v1/completions` in the shape of a stock vLLM server: text or token ids in, both out."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

from treadle_embedded.errors import RequestError
from treadle_embedded.model import EmbeddedModel
from treadle_embedded.sampling import Sampled
from treadle_embedded.server.bodies import CompletionBody
from treadle_embedded.server.choices import Ask, ask_for, complete, stream
from treadle_embedded.server.usage import Usage
from treadle_embedded.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """A checked request."""

    body: CompletionBody
    asks: list[Ask]
    """`n` for each prompt, prompt by prompt."""
    prompt_tokens: int
    token_ids: bool
    """Whether ids are answered."""


def read(body: CompletionBody, model: EmbeddedModel, *, token_features: bool) -> CompletionRequest:
    """Check a body. Raises: RequestError, ContextLengthError."""
    body.refuse_unsupported()
    prompts = _prompts(body, model.vocabulary, token_features=token_features)
    asks = [
        ask
        for prompt in prompts
        for ask in ask_for(
            body, model, prompt, max_tokens=body.max_tokens, top_logprobs=body.logprobs or 0
        )
    ]
    return CompletionRequest(
        body=body,
        asks=asks,
        prompt_tokens=sum(map(len, prompts)),
        token_ids=bool(body.return_token_ids) and token_features,
    )


async def respond(request: CompletionRequest, model: EmbeddedModel) -> dict[str, Any]:
    """Make the whole answer."""
    choices = await complete(model, request.asks)
    rows: list[dict[str, Any]] = []
    for index, (ask, choice) in enumerate(zip(request.asks, choices, strict=True)):
        row: dict[str, Any] = {
            "index": index,
            "text": choice.text,
            "logprobs": _logprobs(choice.tokens, request.body, model.vocabulary),
            "finish_reason": choice.finish.value,
            "stop_reason": choice.stop,
        }
        if request.token_ids:
            row |= {"token_ids": choice.ids, "prompt_token_ids": ask.prompt}
        rows.append(row)
    usage = Usage(prompt=request.prompt_tokens, drawn=sum(len(choice.tokens) for choice in choices))
    return _envelope(request.body.model) | {"choices": rows, "usage": usage.body()}


async def respond_in_pieces(
    request: CompletionRequest, model: EmbeddedModel
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the answer chunk by chunk."""
    envelope, drawn = _envelope(request.body.model), 0
    begun: set[int] = set()
    offsets = dict.fromkeys(range(len(request.asks)), 0)
    async with aclosing(stream(model, request.asks)) as pieces:
        async for indexed in pieces:
            index, piece = indexed.index, indexed.piece
            drawn += len(piece.tokens)
            logprobs = _logprobs(piece.tokens, request.body, model.vocabulary, offsets[index])
            offsets[index] += sum(len(model.vocabulary.text_of(t.token)) for t in piece.tokens)
            row: dict[str, Any] = {
                "index": index,
                "text": piece.text,
                "logprobs": logprobs,
                "finish_reason": piece.finish and piece.finish.value,
                "stop_reason": piece.stop,
            }
            if request.token_ids:
                row["token_ids"] = [token.token for token in piece.tokens]
                if index not in begun:
                    begun.add(index)
                    row["prompt_token_ids"] = request.asks[index].prompt
            yield envelope | {"choices": [row]}
    options = request.body.stream_options
    if options and options.include_usage:
        usage = Usage(prompt=request.prompt_tokens, drawn=drawn)
        yield envelope | {"choices": [], "usage": usage.body()}


def _prompts(
    body: CompletionBody, vocabulary: Vocabulary, *, token_features: bool
) -> list[list[int]]:
    prompt = body.prompt
    if isinstance(prompt, str):
        return [vocabulary.encode(prompt)]
    if not prompt:
        raise RequestError("the prompt is empty; send a text or token ids", param="prompt")
    if isinstance(prompt[0], str):
        return [vocabulary.encode(text) for text in cast("list[str]", prompt)]
    if not token_features:
        raise RequestError(
            "this server takes text prompts only (it runs without token features)", param="prompt"
        )
    lists = cast("list[list[int]]", prompt if isinstance(prompt[0], list) else [prompt])
    for token in (token for ids in lists for token in ids):
        if not 0 <= token < len(vocabulary):
            raise RequestError(
                f"the prompt holds token id {token}; the vocabulary is 0 to {len(vocabulary) - 1}",
                param="prompt",
            )
    return lists


def _logprobs(
    tokens: Sequence[Sampled], body: CompletionBody, vocabulary: Vocabulary, offset: int = 0
) -> dict[str, Any] | None:
    """Make vLLM's four lists; the top ones always hold the drawn token."""
    if body.logprobs is None:
        return None

    def name(token: int) -> str:
        as_id = body.return_tokens_as_token_ids
        return f"token_id:{token}" if as_id else vocabulary.text_of(token)

    offsets: list[int] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(vocabulary.text_of(token.token))
    return {
        "tokens": [name(token.token) for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [
            {name(token.token): token.logprob} | {name(top.token): top.logprob for top in token.top}
            for token in tokens
        ],
        "text_offset": offsets,
    }


def _envelope(model: str) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
    }
