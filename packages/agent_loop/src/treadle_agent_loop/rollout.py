"""What the loop returns: one rollout as a record."""

from dataclasses import dataclass
from enum import StrEnum

from treadle_agent_loop.model import LedgerReport, Message, Segment, Usage


class StopReason(StrEnum):
    """Why a rollout ended. All of these are results; infrastructure failure raises instead."""

    FINISHED = "finished"
    """The model answered without a tool call."""
    MAX_TURNS = "max_turns"
    """The turn budget ran out while the model still called tools."""
    LENGTH = "length"
    """A turn hit its token limit."""
    CONTEXT = "context"
    """The conversation no longer fits the context window."""
    TIMEOUT = "timeout"
    """The rollout's wall-clock budget ran out."""


class ToolOutcome(StrEnum):
    """How one tool call ended."""

    OK = "ok"
    TOOL_ERROR = "tool_error"
    """The tool ran and reported an error (non-zero exit, bad value); the model sees the text."""
    BAD_CALL = "bad_call"
    """The call never ran: malformed, truncated, unknown tool or arguments that don't fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRecord:
    """One tool call of a rollout and what came of it."""

    turn: int
    """Index of the model turn that asked for it, from 0."""
    name: str
    arguments: str
    call_id: str
    outcome: ToolOutcome
    result: str
    """The text the model received."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutResult:
    """Everything one rollout produced."""

    messages: tuple[Message, ...]
    """The full conversation, system and user messages included."""
    stop_reason: StopReason
    turns: int
    """Model answers received."""
    tool_records: tuple[ToolRecord, ...]
    segments: tuple[Segment, ...]
    ledger: LedgerReport
    usage: Usage
    """Sum over all turns."""
    model_seconds: float
    tool_seconds: float

    @property
    def final_text(self) -> str:
        """The content of the last assistant message; empty when it has none."""
        for message in reversed(self.messages):
            if message["role"] == "assistant":
                return str(message.get("content") or "")
        return ""
