"""The classes in which a sampled turn can differ from the chat template's own writing of it."""

import re
from enum import StrEnum

_THINKING = re.compile(r"<think>.*?(?:</think>|$)\s*", re.DOTALL)


class Divergence(StrEnum):
    """How a turn differs from its canonical rendering."""

    EOS = "eos"
    """It didn't end with the template's close."""
    WHITESPACE = "whitespace"
    THINKING = "thinking"
    """Reasoning is missing, added or elsewhere."""
    ARGUMENTS = "arguments"
    """A tool call is spelt differently (JSON spaces, key order, quoting)."""
    BPE = "bpe"
    """The same text in other ids."""
    INJECTION = "injection"
    """Content held a marker that a plain rendering would have made a control token."""
    OTHER = "other"


def classify(sampled: str, canonical: str, *, has_calls: bool) -> Divergence | None:
    """Return how two texts of one turn differ, closes excluded; None when they are equal."""
    if sampled == canonical:
        return None
    if _squeezed(sampled) == _squeezed(canonical):
        return Divergence.ARGUMENTS if has_calls else Divergence.WHITESPACE
    plain, other = _THINKING.sub("", sampled), _THINKING.sub("", canonical)
    if _squeezed(plain) == _squeezed(other):
        return Divergence.THINKING
    if has_calls and sorted(_squeezed(plain)) == sorted(_squeezed(other)):
        return Divergence.ARGUMENTS
    return Divergence.OTHER


def _squeezed(text: str) -> str:
    return "".join(text.split())
