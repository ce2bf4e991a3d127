"""Runs the tool calls of one turn: at the same time where they allow it, one reply each.

All calls are checked before the first one runs. A call that can't run is answered at once; the
others run together, at most 16 at a time, except that calls of an `ordered` tool run in call order
and an `exclusive` call runs alone, after all calls before it and before all calls after it.

Whatever ends the phase early (a budget, a cancellation, dead infrastructure), no task is left.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from treadle_agent_loop.definition import Concurrency
from treadle_agent_loop.errors import AgentLoopError, ToolCancelledError
from treadle_agent_loop.observer import RolloutObserver
from treadle_agent_loop.results import ResultKeeper
from treadle_agent_loop.rollout import ToolOutcome, ToolRecord
from treadle_agent_loop.tools import CheckedCall, ToolRegistry, ToolReply, bad_call
from treadle_agent_loop.workspace import Workspace
from treadle_parsers import CallStatus, ToolCall

_AT_ONCE = 16
_DAMAGE = {
    CallStatus.INVALID_JSON: "The call could not be read: it is not valid JSON. Write it again.",
    CallStatus.TRUNCATED: "The call was cut off before its end. Write it again, complete.",
    CallStatus.MISSING_NAME: "The call names no tool.",
}


@dataclass(slots=True)
class CallState:
    """One call of the turn: what it is, and what has become of it so far."""

    call: ToolCall
    checked: CheckedCall | None
    """None: it can't run, and `reply` says why."""
    reply: ToolReply | None = None
    began: bool = False
    seconds: float = 0.0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def settled(self, otherwise: str = "") -> ToolReply:
        """Return the reply; one that was interrupted or never began gets the text `otherwise`."""
        if self.reply is not None:
            return self.reply
        outcome = ToolOutcome.INTERRUPTED if self.began else ToolOutcome.NOT_RUN
        return ToolReply(outcome=outcome, text=otherwise)

    def record(self, turn: int, otherwise: str) -> ToolRecord:
        """Return what has become of the call; `otherwise` as in `settled`."""
        reply = self.settled(otherwise)
        return ToolRecord(
            turn=turn,
            name=self.call.name,
            arguments=self.call.arguments,
            call_id=self.call.id,
            outcome=reply.outcome,
            result=reply.text,
            seconds=self.seconds,
            schema_valid=reply.schema_valid,
            kept_at=reply.kept_at,
        )


class ToolPhase:
    """The calls of one turn on their way to replies."""

    def __init__(self, turn: int, calls: Sequence[ToolCall], registry: ToolRegistry) -> None:
        self.turn = turn
        self.states = [_check(call, registry) for call in calls]
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(
        self,
        workspace: Workspace | None,
        keeper: ResultKeeper,
        observer: RolloutObserver | None = None,
    ) -> None:
        """Run every call that may run; their replies are in `states`.

        Raises:
            Exception: the failure of the infrastructure that ended the phase.
        """
        waiting = self._order()
        try:
            async with asyncio.TaskGroup() as group:
                for state, before in waiting:
                    group.create_task(self._run_one(state, before, workspace, keeper, observer))
        except BaseExceptionGroup as failures:
            raise _first_leaf(failures) from failures
        await self._fit(keeper)

    def _order(self) -> list[tuple[CallState, list[CallState]]]:
        """Return every call that runs, with those that must be done before."""
        ordered: list[tuple[CallState, list[CallState]]] = []
        for state in self.states:
            if state.checked is None:
                continue
            before = [earlier for earlier, _ in ordered if _must_wait(state, earlier)]
            ordered.append((state, before))
        return ordered

    async def _run_one(
        self,
        state: CallState,
        before: Sequence[CallState],
        workspace: Workspace | None,
        keeper: ResultKeeper,
        observer: RolloutObserver | None,
    ) -> None:
        for earlier in before:
            await earlier.done.wait()
        checked = cast("CheckedCall", state.checked)
        async with self._places:
            if observer is not None:
                observer.on_tool_start(self.turn, state.call)
            state.began = True
            started = time.monotonic()
            try:
                reply = await checked.run(workspace)
            except asyncio.CancelledError as error:
                if _asked_for():
                    raise
                raise ToolCancelledError(
                    f"tool {checked.tool.name!r} was cancelled from inside: what it used shut down"
                ) from error
            finally:
                state.seconds = time.monotonic() - started
            tool = checked.tool
            state.reply = await keeper.shorten(
                reply, tool.result_limit, self._label(state), keep=tool.keep_full
            )
        state.done.set()

    async def _fit(self, keeper: ResultKeeper) -> None:
        replies = {index: state.settled() for index, state in enumerate(self.states)}
        labels = {index: self._label(state) for index, state in enumerate(self.states)}
        for index, reply in (await keeper.fit_turn(replies, labels)).items():
            self.states[index].reply = reply

    def _label(self, state: CallState) -> str:
        return f"turn{self.turn + 1}_call{state.call.index + 1}_{state.call.name}"


def _check(call: ToolCall, registry: ToolRegistry) -> CallState:
    damage = _DAMAGE.get(call.status)
    checked = bad_call(damage) if damage else registry.check(call.name, call.arguments)
    if isinstance(checked, ToolReply):
        return CallState(call=call, checked=None, reply=checked)
    return CallState(call=call, checked=checked)


def _asked_for() -> bool:
    """Whether somebody cancelled this task; a group takes one that nobody did for ended well."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _must_wait(state: CallState, earlier: CallState) -> bool:
    later_tool = cast("CheckedCall", state.checked).tool
    tool = cast("CheckedCall", earlier.checked).tool
    if Concurrency.EXCLUSIVE in (later_tool.concurrency, tool.concurrency):
        return True
    return tool.concurrency is Concurrency.ORDERED and tool.name == later_tool.name


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the most telling failure of a group: our own errors before others."""
    leaves: list[BaseException] = []
    for failure in group.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            failure = _first_leaf(cast("BaseExceptionGroup[BaseException]", failure))
        leaves.append(failure)
    return next((leaf for leaf in leaves if isinstance(leaf, AgentLoopError)), leaves[0])
