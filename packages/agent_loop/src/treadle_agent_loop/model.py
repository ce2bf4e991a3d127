"""The model, as the loop sees it: a client opens one session per rollout, a session answers turns.

Two kinds of session stand behind this: a chat session (any OpenAI-compatible server, no token data)
and a token-exact session (token ids in, token ids and logprobs out, kept in a ledger).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from treadle_parsers import ToolCall, ToolSchema

Message = dict[str, Any]
"""A chat message in OpenAI form: `role`, `content`, and `tool_calls` or `tool_call_id` where they
belong.
"""


class FinishReason(StrEnum):
    """Why the server ended a completion."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How to sample one turn."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    """New tokens per turn at most."""
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    """Ids that end a turn beside the model's own; for token-exact engines."""
    seed: int | None = None
    """Seed of the rollout; sessions derive one per turn from it, so that turns differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that one turn cost, as the server counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTurn:
    """One answer of the model."""

    message: Message
    """The assistant message as it goes into the history."""
    tool_calls: tuple[ToolCall, ...]
    """Every attempted call, malformed ones included."""
    finish_reason: FinishReason
    usage: Usage
    seconds: float
    """Wall-clock time of the request."""
    cut_by_context: bool = False
    """Whether the end of the context window cut the answer off, not its own token limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSpan:
    """Consecutive ids of one provenance in a segment."""

    kind: str
    """`rendered`, `sampled` or `synthesised_close`."""
    length: int
    turn: int
    """The model turn that sampled the ids, or in whose prompt they were first sent."""
    message: int
    """Index of the first message they stand for, in the conversation of that turn."""
    soft: bool = False
    """Whether the ids begin where the tokenizer could have merged across."""
    ids_digest: str = ""
    """Of a sampled span: `digest_ids` of the prompt that was sent and the ids that came back."""
    logprobs_digest: str = ""
    """Of a sampled span with sound logprobs: their `digest_logprobs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One exported token sequence; all three tuples have the same length."""

    tokens: tuple[int, ...]
    masks: tuple[int, ...]
    """The token id where it is trained, -100 elsewhere."""
    logprobs: tuple[float, ...]
    """The sampling logprob (natural log, finite, <= 0) where trained, 1.0 elsewhere."""
    turns: tuple[int, ...] = ()
    """Indices of the model turns whose sampled tokens this segment trains; empty for one that is
    context only (see `LedgerReport.dropped`)."""
    origin: str = "start"
    """Why the segment began: `start`, `rewrite` (the template rewrote history), `fork` or
    `new_history` (messages that continue no known turn)."""
    parent: int | None = None
    """Index of the segment that it continues or replaces."""
    spans: tuple[SegmentSpan, ...] = ()
    """Where its tokens come from, without gaps; a fork repeats the spans it shares with its
    parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """Conservation of sampled tokens: `sampled == trained + sum(dropped.values())`."""

    sampled: int = 0
    trained: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """Sampled but not trained ids, counted by reason code."""
    rendered: int = 0
    """Ids that the chat template wrote, over all segments."""
    synthesised: int = 0
    """Closing tokens added after turns that were cut off."""
    rewrites: int = 0
    """Prompts in which the template had rewritten earlier text."""
    soft_boundaries: int = 0
    """Additions that don't begin at a control token."""
    divergences: dict[str, int] = field(default_factory=dict[str, int])
    """Turns whose sampled ids differ from what the template would write, by class."""
    logprobs: str = "unknown"
    """What the logprobs are of: `processed` (the sampling distribution), `raw` (before temperature
    or top-p; the trainer must know), or `unknown`."""


class ModelSession(Protocol):
    """The model's side of one rollout."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> ModelTurn:
        """Answer the conversation.

        Raises:
            ModelServerError: the server can't be reached or failed after retries.
            ContextLengthError: the prompt leaves no room for an answer.
        """
        ...

    def segments(self) -> tuple[Segment, ...]:
        """Return the token sequences to train on; empty for a chat session."""
        ...

    def report(self) -> LedgerReport:
        """Return the conservation count over all turns so far."""
        ...


class ModelClient(Protocol):
    """A pooled connection to one model server."""

    @property
    def model(self) -> str:
        """The model's name on the server."""
        ...

    @property
    def token_exact(self) -> bool:
        """Whether its sessions export segments."""
        ...

    def session(self) -> ModelSession:
        """Open the model's side of one rollout."""
        ...

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        ...
