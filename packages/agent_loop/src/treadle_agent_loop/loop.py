"""The agent loop: ask the model, run the tools it calls, answer, until it stops or a budget ends.

One loop serves every model: what differs between a chat server and a token-exact engine is in the
session. Tools go to the session as `tools=`; nothing about them is written into the conversation.
Every call of a turn gets exactly one reply, in call order, whatever became of it; independent calls
run at the same time.

A rollout that goes badly is a result with a stop reason. Failing infrastructure (server, sandbox)
raises. Cancelling `run` cancels the request and the tools it waits for, and leaves no task behind.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from treadle_agent_loop.errors import AgentLoopError, ContextLengthError
from treadle_agent_loop.model import (
    FinishReason,
    Message,
    ModelClient,
    ModelSession,
    ModelTurn,
    SamplingParams,
    Usage,
)
from treadle_agent_loop.rollout import RolloutResult, StopReason, ToolOutcome, ToolRecord
from treadle_agent_loop.tools import Tool, ToolRegistry, ToolReply
from treadle_agent_loop.workspace import Workspace
from treadle_parsers import CallStatus, ToolCall

_CUT_BY_LENGTH = "Not run: the answer was cut off at its token limit."
_OUT_OF_TIME = "Not run to its end: the time for this task ran out."
_DAMAGE = {
    CallStatus.INVALID_JSON: "The call could not be read: it is not valid JSON. Write it again.",
    CallStatus.TRUNCATED: "The call was cut off before its end. Write it again, complete.",
    CallStatus.MISSING_NAME: "The call names no tool.",
}


class _Timed(NamedTuple):
    reply: ToolReply
    seconds: float


@dataclass(slots=True)
class _Progress:
    """What a running rollout has gathered; becomes the result."""

    messages: list[Message]
    turns: int = 0
    records: list[ToolRecord] = field(default_factory=list[ToolRecord])
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    open_calls: Sequence[ToolCall] = ()
    """Calls of the last turn that have no reply in `messages` yet."""
    replies: dict[int, _Timed] = field(default_factory=dict[int, _Timed])
    """Finished replies to them, by call index."""

    def add_turn(self, turn: ModelTurn) -> None:
        self.messages.append(turn.message)
        self.turns += 1
        self.prompt_tokens += turn.usage.prompt_tokens
        self.completion_tokens += turn.usage.completion_tokens
        self.model_seconds += turn.seconds
        self.open_calls = turn.tool_calls

    def settle(self, otherwise: str) -> None:
        """Answer every open call in call order; `otherwise` goes to those without a reply."""
        missing = _Timed(ToolReply(outcome=ToolOutcome.BAD_CALL, text=otherwise), 0.0)
        for call in self.open_calls:
            timed = self.replies.get(call.index, missing)
            text = timed.reply.text
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
            self.records.append(
                ToolRecord(
                    turn=self.turns - 1,
                    name=call.name,
                    arguments=call.arguments,
                    call_id=call.id,
                    outcome=timed.reply.outcome,
                    result=text,
                    seconds=timed.seconds,
                )
            )
        self.open_calls = ()
        self.replies.clear()


class AgentLoop:
    """Runs rollouts of one model with one set of tools; holds no state of a rollout, so runs may
    overlap.
    """

    def __init__(
        self,
        client: ModelClient,
        tools: ToolRegistry | Iterable[Tool] = (),
        *,
        max_turns: int = 10,
        sampling: SamplingParams | None = None,
        rollout_timeout: float | None = None,
    ) -> None:
        """`max_turns` counts model answers; `rollout_timeout` bounds a whole run, in seconds."""
        if max_turns < 1:
            raise ValueError(f"max_turns must be at least 1, not {max_turns}")
        self.client = client
        self.tools = tools if isinstance(tools, ToolRegistry) else ToolRegistry(tools)
        self.max_turns = max_turns
        self.sampling = sampling or SamplingParams()
        self.rollout_timeout = rollout_timeout

    async def run(
        self, messages: Sequence[Message], workspace: Workspace | None = None
    ) -> RolloutResult:
        """Run one rollout from an opening conversation to its end; `messages` is not changed.

        Raises:
            AgentLoopError: the model server failed, refused, or its token data can't be trusted.
            Exception: whatever a tool or the workspace raised that is no `ToolError`.
        """
        if not messages:
            raise ValueError("a rollout needs at least one message")
        session = self.client.session()
        progress = _Progress(messages=[dict(message) for message in messages])
        clock = asyncio.timeout(self.rollout_timeout)
        try:
            async with clock:
                stop_reason = await self._converse(session, progress, workspace)
        except TimeoutError:
            if not clock.expired():
                raise
            stop_reason = StopReason.TIMEOUT
            progress.settle(_OUT_OF_TIME)
        return RolloutResult(
            messages=tuple(progress.messages),
            stop_reason=stop_reason,
            turns=progress.turns,
            tool_records=tuple(progress.records),
            segments=session.segments(),
            ledger=session.report(),
            usage=Usage(
                prompt_tokens=progress.prompt_tokens, completion_tokens=progress.completion_tokens
            ),
            model_seconds=progress.model_seconds,
            tool_seconds=progress.tool_seconds,
        )

    async def _converse(
        self, session: ModelSession, progress: _Progress, workspace: Workspace | None
    ) -> StopReason:
        schemas = self.tools.schemas()
        for _ in range(self.max_turns):
            try:
                turn = await session.complete(tuple(progress.messages), schemas, self.sampling)
            except ContextLengthError:
                if progress.turns == 0:
                    raise  # the task itself doesn't fit: nothing was rolled out
                return StopReason.CONTEXT
            progress.add_turn(turn)
            if turn.finish_reason is FinishReason.LENGTH:
                progress.settle(_CUT_BY_LENGTH)
                return StopReason.LENGTH
            if not turn.tool_calls:
                return StopReason.FINISHED
            await self._run_tools(progress, workspace)
        return StopReason.MAX_TURNS

    async def _run_tools(self, progress: _Progress, workspace: Workspace | None) -> None:
        """Run the open calls at the same time and answer them in order."""
        started = time.monotonic()

        async def run_one(call: ToolCall) -> None:
            began = time.monotonic()
            reply = await self._reply_to(call, workspace)
            progress.replies[call.index] = _Timed(reply, time.monotonic() - began)

        try:
            async with asyncio.TaskGroup() as group:
                for call in progress.open_calls:
                    group.create_task(run_one(call))
        except BaseExceptionGroup as failures:
            raise _first_leaf(failures) from failures
        finally:
            progress.tool_seconds += time.monotonic() - started
        progress.settle(_OUT_OF_TIME)

    async def _reply_to(self, call: ToolCall, workspace: Workspace | None) -> ToolReply:
        if call.status in _DAMAGE:
            return ToolReply(outcome=ToolOutcome.BAD_CALL, text=_DAMAGE[call.status])
        return await self.tools.call(call.name, call.arguments, workspace)


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the most telling failure of a group: our own errors before others."""
    leaves: list[BaseException] = []
    for failure in group.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            failure = _first_leaf(cast("BaseExceptionGroup[BaseException]", failure))
        leaves.append(failure)
    return next((leaf for leaf in leaves if isinstance(leaf, AgentLoopError)), leaves[0])
