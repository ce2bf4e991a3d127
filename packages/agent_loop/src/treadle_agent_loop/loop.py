"""The agent loop: ask the model, run the tools it calls, answer, until it stops or a budget ends.

One loop serves every model: what differs between a chat server and a token-exact engine is in the
session. Tools go to the session as `tools=`; nothing about them is written into the conversation.
Every call of a turn gets exactly one reply, in call order, whatever became of it.

A rollout that goes badly is a result with a stop reason. Failing infrastructure (server, sandbox)
raises. Cancelling `run` cancels the request and the tools it waits for, and leaves no task behind.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

from treadle_agent_loop.budgets import Budgets
from treadle_agent_loop.compaction import ContextPolicy, StopAtLimit
from treadle_agent_loop.model import Message, ModelClient, SamplingParams
from treadle_agent_loop.observer import LoopObserver
from treadle_agent_loop.pacing import Turnstile
from treadle_agent_loop.rollout import RolloutResult, StopReason
from treadle_agent_loop.running import OUT_OF_TIME, LoopSettings, RunningRollout
from treadle_agent_loop.tools import Tool, ToolRegistry
from treadle_agent_loop.workspace import Workspace

DEFAULT_TURN_RESULT_LIMIT = 64_000


class ToolSource(Protocol):
    """Something that has tools only while it is open, for example a server; opened per rollout."""

    def open(self) -> AbstractAsyncContextManager[Sequence[Tool]]:
        """Open it and yield its tools."""
        ...


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
        max_tool_seconds: float | None = None,
        max_generated_tokens: int | None = None,
        max_context_tokens: int | None = None,
        context_policy: ContextPolicy | None = None,
        turn_result_limit: int | None = DEFAULT_TURN_RESULT_LIMIT,
        sources: Sequence[ToolSource] = (),
        observer: LoopObserver | None = None,
    ) -> None:
        """`max_turns` counts model answers; `rollout_timeout` bounds a whole run, in seconds.

        The other `max_...` are the budgets of `Budgets`. `turn_result_limit` bounds the characters
        of all tool results of one turn together; each tool has its own limit beside it.
        """
        self.client = client
        self.tools = tools if isinstance(tools, ToolRegistry) else ToolRegistry(tools)
        self.budgets = Budgets(
            max_turns=max_turns,
            rollout_seconds=rollout_timeout,
            tool_seconds=max_tool_seconds,
            generated_tokens=max_generated_tokens,
            context_tokens=max_context_tokens,
        )
        self.sampling = sampling or SamplingParams()
        self.context_policy = context_policy or StopAtLimit()
        self.sources = tuple(sources)
        self.observer = observer
        self._pace = Turnstile()
        self._settings = LoopSettings(
            budgets=self.budgets,
            sampling=self.sampling,
            context_policy=self.context_policy,
            turn_result_limit=turn_result_limit,
        )

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
        await self._pace.enter()
        async with AsyncExitStack() as stack:
            tools = await self._opened(stack)
            watch = self.observer.on_start(messages, tools.names) if self.observer else None
            try:
                rollout = RunningRollout(
                    messages,
                    settings=self._settings,
                    session=self.client.session(),
                    tools=tools,
                    workspace=workspace,
                    observer=watch,
                )
                result = await self._bounded(rollout)
            except BaseException as error:
                if watch is not None:
                    watch.on_error(error)
                raise
            if watch is not None:
                watch.on_finish(result)
            return result

    async def _opened(self, stack: AsyncExitStack) -> ToolRegistry:
        """Return the loop's tools and those of its sources, which `stack` closes."""
        if not self.sources:
            return self.tools
        tools = [*self.tools.tools]
        for source in self.sources:
            tools += await stack.enter_async_context(source.open())
        return ToolRegistry(tools, toolsets=self.tools.toolsets)

    async def _bounded(self, rollout: RunningRollout) -> RolloutResult:
        clock = asyncio.timeout(self.budgets.rollout_seconds)
        try:
            async with clock:
                stop_reason = await rollout.converse()
        except TimeoutError:
            if not clock.expired():
                raise
            stop_reason = StopReason.TIMEOUT
            rollout.settle(OUT_OF_TIME)
        await self._pace.enter()
        return rollout.result(stop_reason)
