"""One rollout while it runs: the conversation, what it has cost, and the step from turn to turn.

`AgentLoop.run` makes one, has it `converse`, and takes its `result`. Whenever it is stopped,
`settle` brings the conversation to a state in which every call has exactly one reply.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from treadle_agent_loop.budgets import Budgets, clamp
from treadle_agent_loop.compaction import ContextPolicy
from treadle_agent_loop.context_keeper import ContextKeeper
from treadle_agent_loop.errors import ContextLengthError
from treadle_agent_loop.model import (
    FinishReason,
    Message,
    ModelSession,
    ModelTurn,
    SamplingParams,
    Usage,
)
from treadle_agent_loop.observer import RolloutObserver
from treadle_agent_loop.results import ResultKeeper
from treadle_agent_loop.rollout import (
    Compaction,
    RolloutResult,
    StopReason,
    ToolRecord,
    TurnKind,
    TurnRecord,
)
from treadle_agent_loop.tool_phase import ToolPhase
from treadle_agent_loop.tools import ToolRegistry
from treadle_agent_loop.workspace import Workspace

OUT_OF_TIME = "Not run to its end: the time for this task ran out."
_OUT_OF_TOOL_TIME = "Not run to its end: the time for tools ran out."
_CUT_BY_LENGTH = "Not run: the answer was cut off at its token limit."
_COMPACTIONS_PER_TURN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """What all rollouts of a loop have in common."""

    budgets: Budgets
    sampling: SamplingParams
    context_policy: ContextPolicy
    turn_result_limit: int | None


class RunningRollout:
    """A rollout between its start and its result; used by one task."""

    def __init__(
        self,
        messages: Sequence[Message],
        *,
        settings: LoopSettings,
        session: ModelSession,
        tools: ToolRegistry,
        workspace: Workspace | None,
        observer: RolloutObserver | None,
    ) -> None:
        self._settings = settings
        self._session = session
        self._tools = tools
        self._schemas = tools.schemas()
        self._workspace = workspace
        self._observer = observer
        self._keeper = ResultKeeper(workspace, per_turn=settings.turn_result_limit)
        self._messages: list[Message] = [dict(message) for message in messages]
        self._context = ContextKeeper(
            self._messages, settings.context_policy, settings.budgets.context_tokens
        )
        self._open: _OpenTurn | None = None
        self._turns: list[TurnRecord] = []
        self._records: list[ToolRecord] = []
        self._compactions: list[Compaction] = []

    async def converse(self) -> StopReason:
        """Go from turn to turn until the model stops or something runs out."""
        while True:
            stop = await self._make_room()
            turn = await self._next_turn() if stop is None else stop
            if isinstance(turn, StopReason):
                return turn
            if turn.finish_reason is FinishReason.LENGTH:
                self.settle(_CUT_BY_LENGTH)
                spent = self._sampling() is None
                return StopReason.GENERATION_BUDGET if spent else StopReason.LENGTH
            stop = await self._run_tools() if turn.tool_calls else StopReason.FINISHED
            if stop is not None:
                self.settle(_OUT_OF_TOOL_TIME)
                return stop
            if self._answers() >= self._settings.budgets.max_turns:
                return StopReason.MAX_TURNS

    def settle(self, otherwise: str) -> None:
        """Answer every call of the open turn, in call order, and close the turn.

        Calls without a result of their own are answered with `otherwise`.
        """
        turn, self._open = self._open, None
        if turn is not None:
            self._reply(turn, otherwise)
            self._close_turn(turn, TurnKind.ANSWER)

    def _reply(self, turn: "_OpenTurn", otherwise: str) -> None:
        for state in turn.phase.states:
            record = state.record(turn.phase.turn, otherwise)
            message = {"role": "tool", "tool_call_id": record.call_id, "content": record.result}
            self._messages.append(message)
            self._records.append(record)
            if self._observer is not None:
                self._observer.on_tool(record)

    def result(self, stop_reason: StopReason) -> RolloutResult:
        """Return the rollout as a record; its turns must be settled."""
        return RolloutResult(
            messages=tuple(self._messages),
            stop_reason=stop_reason,
            turns=len(self._turns),
            tool_records=tuple(self._records),
            segments=self._session.segments(),
            ledger=self._session.report(),
            usage=Usage(
                prompt_tokens=sum(turn.usage.prompt_tokens for turn in self._turns),
                completion_tokens=self._generated(),
            ),
            model_seconds=sum(turn.model_seconds for turn in self._turns),
            tool_seconds=sum(turn.tool_seconds for turn in self._turns),
            turn_records=tuple(self._turns),
            compactions=tuple(self._compactions),
            tools=self._tools.names,
            toolsets=self._tools.toolsets,
        )

    async def _next_turn(self) -> ModelTurn | StopReason:
        for _ in range(_COMPACTIONS_PER_TURN + 1):
            sampling = self._sampling()
            if sampling is None:
                return StopReason.GENERATION_BUDGET
            try:
                turn = await self._complete(self._messages, sampling)
            except ContextLengthError:
                if not self._turns:
                    raise  # the task itself doesn't fit: nothing was rolled out
                if not await self._shorten(StopReason.CONTEXT):
                    break
                continue
            self._context.read(self._messages, turn.answer)
            if not turn.answer.cut_by_context:
                self._messages.append(turn.answer.message)
                self._open = turn
                return turn.answer
            self._close_turn(turn, TurnKind.CUT)
            if not await self._shorten(StopReason.CONTEXT):
                self._messages.append(turn.answer.message)
                self._reply(turn, _CUT_BY_LENGTH)
                break
        return StopReason.CONTEXT

    async def _complete(self, messages: Sequence[Message], sampling: SamplingParams) -> "_OpenTurn":
        index = len(self._turns)
        if self._observer is not None:
            self._observer.on_turn_start(index)
        started = time.monotonic()
        answer = await self._session.complete(tuple(messages), self._schemas, sampling)
        planning = max(time.monotonic() - started - answer.seconds, 0.0)
        if self._observer is not None:
            self._observer.on_answer(index, answer)
        phase = ToolPhase(index, answer.tool_calls, self._tools)
        return _OpenTurn(answer=answer, phase=phase, planning_seconds=planning)

    async def _run_tools(self) -> StopReason | None:
        """Run the open turn's calls and answer them."""
        assert self._open is not None, "tools run after a turn"
        turn, budget = self._open, self._settings.budgets.tool_seconds
        spent = sum(record.tool_seconds for record in self._turns)
        clock = asyncio.timeout(None if budget is None else max(budget - spent, 0.0))
        started = time.monotonic()
        try:
            async with clock:
                await turn.phase.run(self._workspace, self._keeper, self._observer)
        except TimeoutError:
            if not clock.expired():
                raise
            return StopReason.TOOL_TIME
        finally:
            turn.tool_seconds = time.monotonic() - started
        self.settle(OUT_OF_TIME)
        return None

    async def _make_room(self) -> StopReason | None:
        """Shorten the conversation when the next prompt would be over the context budget."""
        for _ in range(_COMPACTIONS_PER_TURN):
            if not self._turns or not self._context.over_budget(self._messages):
                return None
            if not await self._shorten(StopReason.CONTEXT_BUDGET):
                break
        return StopReason.CONTEXT_BUDGET

    async def _shorten(self, reason: StopReason) -> bool:
        """Go on with a shorter conversation; False when there is none."""
        compacted = await self._context.shorten(
            self._messages, reason=reason, turns=self._turns, ask=self._summarise
        )
        if compacted is None:
            return False
        self._messages = list(compacted.messages)
        self._compactions.append(compacted.record)
        if self._observer is not None:
            self._observer.on_compaction(compacted.record)
        return True

    async def _summarise(self, messages: Sequence[Message]) -> str:
        """Answer a context policy's request; the turn counts like any other."""
        sampling = self._sampling()
        if sampling is None:
            return ""
        turn = await self._complete(messages, sampling)
        self._close_turn(turn, TurnKind.SUMMARY)
        return str(turn.answer.message.get("content") or "")

    def _close_turn(self, turn: "_OpenTurn", kind: TurnKind) -> None:
        record = TurnRecord(
            index=turn.phase.turn,
            kind=kind,
            finish_reason=turn.answer.finish_reason,
            tool_calls=len(turn.answer.tool_calls),
            usage=turn.answer.usage,
            planning_seconds=turn.planning_seconds,
            model_seconds=turn.answer.seconds,
            tool_seconds=turn.tool_seconds,
        )
        self._turns.append(record)
        if self._observer is not None:
            self._observer.on_turn(record)

    def _sampling(self) -> SamplingParams | None:
        generated = self._generated()
        if self._open is not None:
            generated += self._open.answer.usage.completion_tokens
        return clamp(self._settings.sampling, self._settings.budgets, generated)

    def _generated(self) -> int:
        return sum(turn.usage.completion_tokens for turn in self._turns)

    def _answers(self) -> int:
        return sum(turn.kind is TurnKind.ANSWER for turn in self._turns)


@dataclass(slots=True, kw_only=True)
class _OpenTurn:
    """A turn whose calls aren't all answered yet."""

    answer: ModelTurn
    phase: ToolPhase
    planning_seconds: float
    tool_seconds: float = 0.0
