"""What the loop returns: one rollout as a record."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from treadle_agent_loop.model import FinishReason, LedgerReport, Message, Segment, Usage


class StopReason(StrEnum):
    """Why a rollout ended. All of these are results; infrastructure failure raises instead."""

    FINISHED = "finished"
    """The model answered without a tool call."""
    MAX_TURNS = "max_turns"
    """The turn budget ran out while the model still called tools."""
    LENGTH = "length"
    """A turn hit its token limit."""
    CONTEXT = "context"
    """The conversation no longer fits the model's context window."""
    CONTEXT_BUDGET = "context_budget"
    """The conversation no longer fits `max_context_tokens`."""
    GENERATION_BUDGET = "generation_budget"
    """All turns together generated `max_generated_tokens`."""
    TOOL_TIME = "tool_time"
    """Running tools took `max_tool_seconds`."""
    TIMEOUT = "timeout"
    """The rollout's wall-clock budget ran out."""


class ToolOutcome(StrEnum):
    """How one tool call ended."""

    OK = "ok"
    TOOL_ERROR = "tool_error"
    """The tool ran and reported an error (non-zero exit, bad value); the model sees the text."""
    BAD_CALL = "bad_call"
    """The call never ran: malformed, unknown tool or arguments that don't fit."""
    INTERRUPTED = "interrupted"
    """A budget of the rollout ended it while it ran."""
    NOT_RUN = "not_run"
    """The rollout ended before it began: a budget, or an answer cut off at its token limit."""


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
    """Time it ran; waiting for its turn is not counted."""
    schema_valid: bool = True
    """Whether the tool exists and the arguments fit its schema."""
    kept_at: str = ""
    """Where in the workspace the full result is, when the model received a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCounts:
    """How far a rollout's tool calls got; each number is part of the one before."""

    attempted: int = 0
    """Calls the model made, unreadable ones included."""
    schema_valid: int = 0
    """Of those, calls of a known tool with arguments that fit its schema."""
    executed: int = 0
    """Of those, calls that began to run."""
    failed: int = 0
    """Of those, calls whose tool reported an error or was interrupted."""


def count_calls(records: Sequence[ToolRecord]) -> ToolCounts:
    """Count tool calls by how far they got."""
    failures = (ToolOutcome.TOOL_ERROR, ToolOutcome.INTERRUPTED)
    executed = [record for record in records if record.outcome in (ToolOutcome.OK, *failures)]
    return ToolCounts(
        attempted=len(records),
        schema_valid=sum(record.schema_valid for record in records),
        executed=len(executed),
        failed=sum(record.outcome in failures for record in executed),
    )


class TurnKind(StrEnum):
    """What a model turn was for."""

    ANSWER = "answer"
    """It goes on with the task."""
    SUMMARY = "summary"
    """A context policy asked the model for a summary of its own work."""
    CUT = "cut"
    """The end of the context window cut the answer off. Where the context policy could shorten the
    conversation, it was asked for again and is not part of the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord:
    """One model turn: what it cost and where the time went."""

    index: int
    kind: TurnKind
    finish_reason: FinishReason
    tool_calls: int
    """Calls it attempted."""
    usage: Usage
    planning_seconds: float
    """Rendering, encoding and parsing on this side of the wire."""
    model_seconds: float
    """The request to the model server."""
    tool_seconds: float
    """Running the turn's tools, all together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """One time that a context policy shortened the conversation."""

    turn: int
    """Index of the first model turn that saw the shortened conversation."""
    policy: str
    reason: StopReason
    """What would have ended the rollout otherwise: `context` or `context_budget`."""
    before: tuple[Message, ...]
    """The conversation as it was."""
    kept: int
    """How many of its last messages went on into the shortened one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutResult:
    """Everything one rollout produced."""

    messages: tuple[Message, ...]
    """The conversation as it ended, system and user messages included. After a compaction it is the
    shortened one and what followed; `compactions` holds what was before."""
    stop_reason: StopReason
    turns: int
    """Model answers received, summaries included."""
    tool_records: tuple[ToolRecord, ...]
    segments: tuple[Segment, ...]
    ledger: LedgerReport
    usage: Usage
    """Sum over all turns."""
    model_seconds: float
    tool_seconds: float
    turn_records: tuple[TurnRecord, ...] = ()
    """One per turn."""
    compactions: tuple[Compaction, ...] = ()
    tools: tuple[str, ...] = ()
    """Names of the tools the model was offered."""
    toolsets: tuple[str, ...] = ()
    """Names of the toolsets they were chosen by, where they were."""

    @property
    def final_text(self) -> str:
        """The content of the last assistant message; empty when it has none."""
        for message in reversed(self.messages):
            if message["role"] == "assistant":
                return str(message.get("content") or "")
        return ""

    @property
    def tool_counts(self) -> ToolCounts:
        """How far the tool calls got."""
        return count_calls(self.tool_records)
