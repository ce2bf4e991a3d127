"""Whether a completion's logprobs can be trained on.

Every sampled id needs a finite natural logprob of at most 0 that is no clamp value (vLLM writes
-9999 for minus infinity). Anything else makes the sequence context only, counted under one of these
reasons.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

_CLAMP = -9999.0
_ROUNDING = 1e-5
"""A log-softmax in single precision may end this much above 0; such values count as 0."""


class DropReason(StrEnum):
    """Why sampled ids aren't trained."""

    NO_LOGPROBS = "no_logprobs"
    """The server sent none."""
    MISALIGNED = "misaligned_logprobs"
    """Not one logprob per id."""
    NOT_FINITE = "not_finite"
    """Missing, NaN or infinite."""
    POSITIVE = "positive_logprob"
    CLAMPED = "clamped_logprob"
    TAINTED = "tainted_sequence"
    """Sound itself, but in one sequence with ids that are not."""


def judge(ids: Sequence[int], logprobs: Sequence[float | None] | None) -> DropReason | None:
    """Return why a completion can't be trained on, or None."""
    if logprobs is None:
        return DropReason.NO_LOGPROBS
    if len(logprobs) != len(ids):
        return DropReason.MISALIGNED
    for value in logprobs:
        if value is None or not math.isfinite(value):
            return DropReason.NOT_FINITE
        if value > _ROUNDING:
            return DropReason.POSITIVE
        if value <= _CLAMP:
            return DropReason.CLAMPED
    return None


def settled(logprobs: Sequence[float | None]) -> tuple[float, ...]:
    """Return judged logprobs as floats of at most 0."""
    return tuple(min(float(value or 0.0), 0.0) for value in logprobs)
