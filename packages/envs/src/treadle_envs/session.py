"""One attempt at one rollout: a sandbox lease, the tools bound to it, the model's side, the reward.

Nothing about a rollout lives anywhere else. Leaving the session returns the lease, whatever
happened inside, cancellation included.
"""

import math
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from treadle_agent_loop.context import ToolContext
from treadle_agent_loop.loop import AgentLoop
from treadle_agent_loop.model import ModelClient, SamplingParams
from treadle_agent_loop.rollout import RolloutResult
from treadle_agent_loop.tools import ToolRegistry
from treadle_envs.errors import RewardError
from treadle_envs.failures import TRANSIENT
from treadle_envs.records import Item
from treadle_envs.sandboxes import SandboxBackend, SandboxLease

if TYPE_CHECKING:
    from treadle_envs.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one session produced."""

    result: RolloutResult
    reward: float
    isolation: str
    seconds: float


class RolloutSession:
    """An async context manager; `run` is called once inside it.

    Raises on entering:
        SandboxError: no sandbox became free in time, or none can be made.
    """

    def __init__(
        self,
        environment: "Environment[Any]",
        *,
        client: ModelClient,
        backend: SandboxBackend,
        sampling: SamplingParams,
    ) -> None:
        self._environment = environment
        self._client = client
        self._backend = backend
        self._sampling = sampling
        self._stack = AsyncExitStack()
        self._lease: SandboxLease | None = None

    async def __aenter__(self) -> Self:
        timeout = self._environment.config.acquire_timeout_s
        lease = await self._backend.lease(timeout=timeout)
        self._lease = await self._stack.enter_async_context(lease)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def run(self, item: Item) -> Attempt:
        """Roll the task out and score it.

        Raises:
            AgentLoopError: the model server failed or refused.
            SandboxError: the sandbox died.
            RewardError: the reward function failed.
        """
        assert self._lease is not None, "enter the session before running it"
        environment = self._environment
        started = time.monotonic()
        tools = ToolRegistry(environment.tools())
        loop = AgentLoop(
            self._client,
            tools,
            max_turns=environment.config.max_agent_turns,
            sampling=self._sampling,
            rollout_timeout=environment.config.rollout_timeout,
        )
        result = await loop.run(environment.messages(item), self._lease)
        reward = await self._score(item, result, ToolContext(self._lease, tools))
        return Attempt(
            result=result,
            reward=reward,
            isolation=str(self._lease.isolation),
            seconds=time.monotonic() - started,
        )

    async def _score(
        self, item: Mapping[str, Any], result: RolloutResult, ctx: ToolContext
    ) -> float:
        name = type(self._environment).__name__
        try:
            reward = await self._environment.compute_reward(item, result, ctx)
        except TRANSIENT:
            raise
        except Exception as error:
            raise RewardError(
                f"{name}.compute_reward raised {type(error).__name__}: {error}"
            ) from error
        return _finite(reward, name)


def _finite(reward: object, name: str) -> float:
    if isinstance(reward, int | float) and math.isfinite(reward):
        return float(reward)
    raise RewardError(f"{name}.compute_reward returned {reward!r}: return a finite number")
