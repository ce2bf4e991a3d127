"""From logits to a token: temperature, top-k, top-p, a seed, and the logprob of what was drawn.

The logprob belongs to the distribution that was sampled from (after temperature, top-k and top-p:
what vLLM calls processed logprobs), so that exp(logprob) is the probability with which the token
was drawn. At temperature 0 the likeliest token is taken and its logprob is that of the unmodified
softmax.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GREEDY = 1e-5
"""Below this temperature (vLLM's bound) the likeliest token is taken."""
Logits = NDArray[np.float32]
"""`(vocabulary,)`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn and when drawing ends."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """How many tokens stay in play; 0 or less: all."""
    seed: int | None = None
    """The same seed, prompt and settings give the same tokens, whatever else the model is doing."""
    max_tokens: int = 256
    stop_ids: frozenset[int] = frozenset()
    """Ids that end the answer and belong to it."""
    top_logprobs: int = 0
    """How many of the likeliest tokens to report at each position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A token and the logarithm of its probability."""

    token: int
    logprob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One drawn token."""

    token: int
    logprob: float
    top: tuple[Candidate, ...] = ()
    """The likeliest tokens, likeliest first."""


class Sampler:
    """Draws the tokens of one answer."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        seed = None if sampling.seed is None else sampling.seed % 2**64
        self._random = np.random.default_rng(seed)

    def draw(self, logits: Logits) -> Sampled:
        """Draw the next token."""
        logprobs = processed(logits, self._sampling)
        greedy = self._sampling.temperature < GREEDY
        token = int(logits.argmax()) if greedy else self._pick(logprobs)
        top = _likeliest(logprobs, self._sampling.top_logprobs)
        return Sampled(token=token, logprob=float(logprobs[token]), top=top)

    def _pick(self, logprobs: NDArray[np.float64]) -> int:
        cumulated = np.exp(logprobs).cumsum()
        cumulated /= cumulated[-1]
        return int(np.searchsorted(cumulated, self._random.random(), side="right"))


def processed(logits: Logits, sampling: Sampling) -> NDArray[np.float64]:
    """Return the log-probabilities tokens are drawn from; excluded ones are minus infinity."""
    values = logits.astype(np.float64)
    if sampling.temperature < GREEDY:
        return _log_softmax(values)
    values = _log_softmax(values / sampling.temperature)
    if 0 < sampling.top_k < len(values):
        threshold = np.partition(values, -sampling.top_k)[-sampling.top_k]
        values = _log_softmax(np.where(values < threshold, -np.inf, values))
    if sampling.top_p < 1:
        values = _log_softmax(_nucleus(values, sampling.top_p))
    return values


def _nucleus(values: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """Keep the likeliest tokens until their probability reaches `top_p`; always at least one."""
    order = np.argsort(-values, kind="stable")
    before = np.exp(values[order]).cumsum() - np.exp(values[order])
    inside = before < top_p
    inside[0] = True
    kept = order[inside]
    result = np.full_like(values, -np.inf)
    result[kept] = values[kept]
    return result


def _log_softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = values - values.max()
    return shifted - np.log(np.exp(shifted).sum())


def _likeliest(logprobs: NDArray[np.float64], count: int) -> tuple[Candidate, ...]:
    if not count:
        return ()
    order = np.argsort(-logprobs, kind="stable")[:count]
    return tuple(
        Candidate(token=int(index), logprob=float(logprobs[index]))
        for index in order
        if np.isfinite(logprobs[index])
    )
