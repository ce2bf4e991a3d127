"""Hooks into running rollouts, for tracing and live displays.

A `LoopObserver` is asked for one `RolloutObserver` per rollout, which is then told what happens, in
order, on the event loop. Methods must return at once and must not raise: what they raise fails the
rollout. Subclass `SilentObserver` to implement only what is of interest.
"""

from collections.abc import Sequence
from typing import Protocol

from treadle_agent_loop.model import Message, ModelTurn
from treadle_agent_loop.rollout import Compaction, RolloutResult, ToolRecord, TurnRecord
from treadle_parsers import ToolCall


class RolloutObserver(Protocol):
    """What one rollout tells."""

    def on_turn_start(self, turn: int) -> None:
        """Model turn number `turn` is about to be asked for."""
        ...

    def on_answer(self, turn: int, answer: ModelTurn) -> None:
        """The model answered; its tools haven't run yet."""
        ...

    def on_tool_start(self, turn: int, call: ToolCall) -> None:
        """A tool call is about to run; calls that can't run don't begin."""
        ...

    def on_tool(self, record: ToolRecord) -> None:
        """A tool call has its reply; told for every call, in call order, at the turn's end."""
        ...

    def on_turn(self, record: TurnRecord) -> None:
        """A turn and its tools are done."""
        ...

    def on_compaction(self, record: Compaction) -> None:
        """A context policy shortened the conversation."""
        ...

    def on_finish(self, result: RolloutResult) -> None:
        """The rollout ended with a result."""
        ...

    def on_error(self, error: BaseException) -> None:
        """The rollout was cancelled, or failing infrastructure ended it."""
        ...


class LoopObserver(Protocol):
    """What an `AgentLoop` reports to."""

    def on_start(self, messages: Sequence[Message], tools: Sequence[str]) -> RolloutObserver:
        """A rollout begins; return the observer of it."""
        ...


class SilentObserver:
    """Both protocols, doing nothing; for subclasses."""

    def on_start(self, messages: Sequence[Message], tools: Sequence[str]) -> RolloutObserver:
        """Return itself."""
        return self

    def on_turn_start(self, turn: int) -> None:
        """Do nothing."""

    def on_answer(self, turn: int, answer: ModelTurn) -> None:
        """Do nothing."""

    def on_tool_start(self, turn: int, call: ToolCall) -> None:
        """Do nothing."""

    def on_tool(self, record: ToolRecord) -> None:
        """Do nothing."""

    def on_turn(self, record: TurnRecord) -> None:
        """Do nothing."""

    def on_compaction(self, record: Compaction) -> None:
        """Do nothing."""

    def on_finish(self, result: RolloutResult) -> None:
        """Do nothing."""

    def on_error(self, error: BaseException) -> None:
        """Do nothing."""
