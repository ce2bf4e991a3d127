"""The records of the token ledger: what every id is, where it came from, and which turns a context
holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from treadle_agent_loop.model import Message
from treadle_agent_loop.tokens.delta import Ending


class Provenance(StrEnum):
    """How an id came to be in a context."""

    RENDERED = "rendered"
    """Written by the chat template from messages."""
    SAMPLED = "sampled"
    """Sampled by the model; the only ids that are ever trained."""
    SYNTHESISED = "synthesised_close"
    """A turn's close that the model didn't write (it was cut off, or ended in another way)."""


class Origin(StrEnum):
    """Why a context, and so an exported segment, began."""

    START = "start"
    """The rollout's first prompt."""
    REWRITE = "rewrite"
    """The chat template rewrote earlier text."""
    FORK = "fork"
    """The conversation went on from a turn that already had a continuation."""
    NEW_HISTORY = "new_history"
    """The messages continue no known turn: a sub-agent, compaction, an edited history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the server answered to one prompt, and the message made of it."""

    ids: tuple[int, ...]
    logprobs: Sequence[float | None] | None
    """One per id as the server sent them; None when it sent none."""
    ended_by: str | None
    """The control token that the ids end with, when the model ended its turn with one."""
    text: str
    """The decoded ids, without that token."""
    message: Message
    weight_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Consecutive ids of one provenance."""

    kind: Provenance
    ids: tuple[int, ...]
    call: int
    """Index of the model call that sampled them, or whose prompt they were first sent in."""
    first_message: int
    last_message: int
    """The messages they stand for, `first_message` to `last_message` inclusive."""
    logprobs: tuple[float, ...] = ()
    """One per id where sampled and sound."""
    soft: bool = False
    """Whether the ids begin at a place where the tokenizer could have merged across."""
    merges: bool = False
    """Whether it would have, there."""
    ids_digest: str = ""
    """Where sampled: of the whole prompt as it was sent, and these ids."""
    logprobs_digest: str = ""
    """Where sampled and sound: of the logprobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answered model call, with what is needed to go on from it."""

    call: int
    context: int
    spans: int
    """Spans of the context up to and including the sampled ones."""
    messages: int
    """Messages of the conversation up to and including the answer."""
    prompt_length: int
    """Characters of the guarded prompt text."""
    prompt_digest: bytes
    ending: Ending
    reasoning: str
    """The answer's reasoning, guarded."""


@dataclass(slots=True, kw_only=True)
class Context:
    """One growing id sequence; a prompt is always all of it plus what was added."""

    index: int
    origin: Origin
    parent: int | None
    """The context it continues or replaces."""
    spans: list[Span] = field(default_factory=list[Span])
    own_calls: set[int] = field(default_factory=set[int])
    """Calls sampled here; those of a fork's shared beginning belong to the other context."""

    def ids(self) -> tuple[int, ...]:
        """Return the whole sequence."""
        return tuple(index for span in self.spans for index in span.ids)
