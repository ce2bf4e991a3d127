"""The answers of one request, made at the same time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from treadle_embedded.answer import Piece, answer
from treadle_embedded.engine import FinishReason
from treadle_embedded.errors import ContextLengthError, EmbeddedError, RequestError
from treadle_embedded.model import EmbeddedModel
from treadle_embedded.sampling import Sampled, Sampling
from treadle_embedded.server.bodies import Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One answer that a request asks for."""

    prompt: list[int]
    sampling: Sampling
    stops: tuple[str, ...]
    skip_special: bool


@dataclass(slots=True, kw_only=True)
class Choice:
    """One whole answer."""

    text: str = ""
    tokens: list[Sampled] = field(default_factory=list[Sampled])
    finish: FinishReason = FinishReason.STOP
    stop: str | int | None = None

    @property
    def ids(self) -> list[int]:
        """The drawn ids, the one that ended the turn included."""
        return [token.token for token in self.tokens]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedPiece:
    """A piece of the answer with this index."""

    index: int
    piece: Piece


def ask_for(
    body: Body,
    model: EmbeddedModel,
    prompt: list[int],
    *,
    max_tokens: int | None,
    top_logprobs: int,
) -> list[Ask]:
    """List the `n` answers that a body asks for to one prompt.

    Raises: RequestError (empty prompt), ContextLengthError (it and `max_tokens` don't fit).
    """
    if not prompt:
        raise RequestError("the prompt is empty; send at least one token", param="prompt")
    room = model.room_for(len(prompt))
    if max_tokens is not None and max_tokens > room:
        raise ContextLengthError(
            f"'max_tokens' is too large: {max_tokens}. This model's maximum context length is "
            f"{model.context} tokens and your request has {len(prompt)} input tokens "
            f"({max_tokens} > {model.context} - {len(prompt)})."
        )
    sampling = Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        max_tokens=max_tokens or room,
        stop_ids=frozenset((model.end_of_turn, *(body.stop_token_ids or ()))),
        top_logprobs=top_logprobs,
    )
    seeds = [None if body.seed is None else body.seed + index for index in range(body.n)]
    return [
        Ask(
            prompt=prompt,
            sampling=replace(sampling, seed=seed),
            stops=body.stops,
            skip_special=body.skip_special_tokens,
        )
        for seed in seeds
    ]


async def complete(model: EmbeddedModel, asks: Sequence[Ask]) -> list[Choice]:
    """Make all answers and return them whole. Raises as `EmbeddedModel.generate`."""
    choices = [Choice() for _ in asks]
    async with aclosing(stream(model, asks)) as pieces:
        async for indexed in pieces:
            choice, piece = choices[indexed.index], indexed.piece
            choice.text += piece.text
            choice.tokens.extend(piece.tokens)
            if piece.finish is not None:
                choice.finish, choice.stop = piece.finish, piece.stop
    return choices


async def stream(model: EmbeddedModel, asks: Sequence[Ask]) -> AsyncGenerator[IndexedPiece, None]:
    """Make all answers and yield their pieces as they come. Raises as `EmbeddedModel.generate`."""
    pieces: asyncio.Queue[IndexedPiece] = asyncio.Queue()

    async def make(index: int, ask: Ask) -> None:
        made = answer(
            model, ask.prompt, ask.sampling, stops=ask.stops, skip_special=ask.skip_special
        )
        async with aclosing(made):
            async for piece in made:
                pieces.put_nowait(IndexedPiece(index=index, piece=piece))

    try:
        async with asyncio.TaskGroup() as group:
            for index, ask in enumerate(asks):
                group.create_task(make(index, ask))
            open_answers = len(asks)
            while open_answers:
                indexed = await pieces.get()
                open_answers -= indexed.piece.finish is not None
                yield indexed
    except ExceptionGroup as failures:
        ours = [error for error in failures.exceptions if isinstance(error, EmbeddedError)]
        raise (ours[0] if ours else failures) from None
