"""What every token transport promises, and the checks that all of them make.

What comes back is checked before anything else sees it: ids must be there, and the prompt that the
server says it used must be the prompt that was sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from treadle_agent_loop.errors import ModelServerError, TokenProtocolError
from treadle_agent_loop.model import SamplingParams
from treadle_agent_loop.replies import reading
from treadle_agent_loop.serving import turn_seed

_LAST_ID = 2**32 - 1
"""What a tokenizer can decode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled continuation."""

    ids: tuple[int, ...]
    logprobs: tuple[float | None, ...] | None
    """As sent, one per id or not; None when the server sent none."""
    length_stop: bool
    """Whether the token limit ended it."""
    weight_version: str | None
    """Which weights sampled it, where the server tells; `a+b` when they changed on the way."""
    seconds: float


class TokenTransport(Protocol):
    """One engine's way of taking prompt ids and answering sampled ids."""

    @property
    def name(self) -> str:
        """The transport's name, as `TokenClient(engine=...)` takes it."""
        ...

    @property
    def scales_top_p(self) -> bool:
        """Whether logprobs that follow the temperature follow top-p too."""
        ...

    async def sample(
        self, prompt: Sequence[int], sampling: SamplingParams, *, turn: int = 0
    ) -> Completion:
        """Sample one continuation of prompt ids; `turn` varies the seed.

        Raises:
            TokenProtocolError: no token ids came back, or the server used another prompt.
            ModelRequestError: the server refused; it may not offer this way at all.
            ModelServerError: unreachable, failing, or an answer of another shape.
        """
        ...

    async def best_logprob(self, prompt: Sequence[int], temperature: float) -> float | None:
        """Return the logprob of the likeliest next id as the server reports it at a temperature.

        None when it can't be had. Same errors as `sample`.
        """
        ...


def sampling_fields(
    sampling: SamplingParams, turn: int, *, most: str = "max_tokens", seed: str = "seed"
) -> dict[str, Any]:
    """Return the parameters that every engine takes; `most` and `seed` are its names for the two
    that differ.
    """
    fields: dict[str, Any] = {
        most: sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "skip_special_tokens": False,
    }
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    if sampling.stop_token_ids:
        fields["stop_token_ids"] = list(sampling.stop_token_ids)
    if sampling.seed is not None:
        fields[seed] = turn_seed(sampling.seed, turn)
    return fields


async def detect_logprobs_mode(transport: TokenTransport, prompt: Sequence[int]) -> str:
    """Return `raw`, `processed` or `unknown`: do the logprobs follow the temperature?"""
    best: list[float] = []
    for temperature in (1.0, 0.25):
        with reading("the server"):
            logprob = await transport.best_logprob(prompt, temperature)
        if logprob is None:
            return "unknown"
        best.append(logprob)
    if best[0] > -1e-3:
        return "unknown"  # so sure of itself that the temperature changes nothing
    return "raw" if abs(best[0] - best[1]) < 1e-4 else "processed"


def check_echo(sent: Sequence[int], echoed: Any) -> None:
    """Compare the prompt ids that a server says it used with those sent; None says nothing.

    Raises:
        TokenProtocolError: they differ.
    """
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


def read_ids(value: Any, remedy: str) -> tuple[int, ...]:
    """Return sampled ids.

    Raises:
        TokenProtocolError: they are missing, or aren't ids; the message ends in `remedy`.
    """
    if not isinstance(value, list) or not all(
        type(index) is int and 0 <= index <= _LAST_ID for index in cast("list[Any]", value)
    ):
        raise TokenProtocolError(f"the server returned no token ids; {remedy}")
    return tuple(cast("list[int]", value))


def read_numbers(values: Any) -> tuple[float | None, ...] | None:
    """Return logprobs as they were sent, None for what is no number."""
    if not isinstance(values, list):
        return None
    return tuple(
        float(value) if isinstance(value, int | float) else None
        for value in cast("list[Any]", values)
    )


def first_choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first of an answer's `choices`.

    Raises:
        ModelServerError: there are none, or the server aborted the request.
    """
    choices = cast("list[dict[str, Any]]", answer.get("choices") or [])
    if not choices:
        raise ModelServerError("the server answered without choices", answered=True)
    if choices[0].get("finish_reason") in ("abort", "error"):
        raise ModelServerError("the server aborted the request")
    return choices[0]


def weight_version(*candidates: Any) -> str | None:
    """Return the first version told: a name, or vLLM's and SGLang's spans with `version`s."""
    for told in candidates:
        if isinstance(told, list):
            spans = cast("list[dict[str, Any]]", told)
            names = dict.fromkeys(str(span.get("version")) for span in spans)
            if names:
                return "+".join(names)
        elif told is not None:
            return str(told)
    return None
