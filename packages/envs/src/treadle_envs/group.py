"""Running the rollouts of one task at the same time, until the group is complete or lost.

An attempt that infrastructure broke is tried again, with a pause that grows; when its retries are
used up, or the reward function failed, the whole group is lost with a reason and the other rollouts
of it are stopped. No failure ever becomes a score. A rollout that merely went badly is a result.
"""

import asyncio
import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from treadle_agent_loop.errors import AgentLoopError
from treadle_agent_loop.model import ModelClient, SamplingParams
from treadle_envs.errors import EnvsError, GroupLostError, RewardError
from treadle_envs.failures import TRANSIENT, first_error
from treadle_envs.observer import NullObserver, Observer
from treadle_envs.records import FailedRollout, Item, LossReason, ScoredGroup, ScoredRollout
from treadle_envs.sandboxes import SandboxBackend
from treadle_envs.session import Attempt, RolloutSession
from treadle_sandbox import SandboxError

if TYPE_CHECKING:
    from treadle_envs.environment import Environment

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What is known of an attempt before it ends."""

    rollout_id: str
    group_id: str
    item_id: str
    model: str
    sampling: SamplingParams
    started: str = ""

    def now(self) -> "_Start":
        """Return the same for an attempt that begins now."""
        return replace(self, started=datetime.now(UTC).isoformat(timespec="milliseconds"))


class GroupRunner:
    """Runs groups of one environment against one model server and one sandbox backend.

    It owns neither `client` nor `backend`. Groups may run at the same time.
    """

    def __init__(
        self,
        environment: "Environment[Any]",
        *,
        client: ModelClient,
        backend: SandboxBackend,
        observer: Observer | None = None,
    ) -> None:
        self._environment = environment
        self.client = client
        self.backend = backend
        self.observer: Observer = NullObserver() if observer is None else observer

    def sampling(self, *, temperature: float | None = None) -> SamplingParams:
        """Return the environment's sampling settings; `temperature` replaces the configured one."""
        config = self._environment.config
        return SamplingParams(
            temperature=config.agent_temperature if temperature is None else temperature,
            top_p=config.agent_top_p,
            max_tokens=config.max_token_length,
            seed=config.seed,
        )

    async def run(
        self,
        item: Item,
        *,
        group_id: str,
        group_size: int,
        sampling: SamplingParams | None = None,
    ) -> ScoredGroup:
        """Run and score all rollouts of one task; the observer is told of each.

        Raises:
            GroupLostError: a rollout failed for good; the reason says how.
        """
        base = self.sampling() if sampling is None else sampling
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._rollout(item, group_id, index, base))
                    for index in range(group_size)
                ]
        except ExceptionGroup as failures:
            loss = first_error(failures)
            raise loss from loss.__cause__
        rollouts = tuple(task.result() for task in running)
        item_id = self._environment.item_id(item)
        group = ScoredGroup(group_id=group_id, item_id=item_id, rollouts=rollouts)
        self.observer.group_finished(group)
        return group

    async def _rollout(
        self, item: Item, group_id: str, index: int, base: SamplingParams
    ) -> ScoredRollout:
        rollout_id = f"{group_id}/{index}"
        start = _Start(
            rollout_id=rollout_id,
            group_id=group_id,
            item_id=self._environment.item_id(item),
            model=self.client.model,
            sampling=_seeded(base, rollout_id),
        )
        attempts = self._environment.config.rollout_retries + 1
        for attempt in range(attempts):
            start = start.now()
            self.observer.rollout_started(rollout_id, group_id)
            failure: Exception
            try:
                outcome = await self._attempt(item, start.sampling)
            except TRANSIENT as error:
                failure = error
            except Exception as error:
                self._report(start, error)
                raise _lost(rollout_id, error, attempt + 1) from error
            else:
                rollout = _scored(outcome, start)
                self.observer.rollout_finished(rollout)
                return rollout
            self._report(start, failure)
            if attempt + 1 == attempts:
                raise _lost(rollout_id, failure, attempts) from failure
            await asyncio.sleep(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE))
        raise AssertionError("unreachable: the loop returns or raises")

    async def _attempt(self, item: Item, sampling: SamplingParams) -> Attempt:
        session = RolloutSession(
            self._environment, client=self.client, backend=self.backend, sampling=sampling
        )
        async with session:
            return await session.run(item)

    def _report(self, start: _Start, error: Exception) -> None:
        expected = isinstance(error, (*TRANSIENT, EnvsError, AgentLoopError, SandboxError))
        logger.warning(
            "rollout %s failed: %s: %s",
            start.rollout_id,
            type(error).__name__,
            error,
            exc_info=None if expected else error,
        )
        self.observer.rollout_failed(
            FailedRollout(
                rollout_id=start.rollout_id,
                group_id=start.group_id,
                item_id=start.item_id,
                kind=type(error).__name__,
                message=" ".join(str(error).split()) or type(error).__name__,
                model=start.model,
                seed=start.sampling.seed,
                started=start.started,
            )
        )


def _scored(outcome: Attempt, start: _Start) -> ScoredRollout:
    return ScoredRollout(
        rollout_id=start.rollout_id,
        group_id=start.group_id,
        item_id=start.item_id,
        model=start.model,
        sampling=start.sampling,
        started=start.started,
        reward=outcome.reward,
        result=outcome.result,
        isolation=outcome.isolation,
        seconds=outcome.seconds,
        metrics={"tool_calls": float(len(outcome.result.tool_records))},
    )


def _lost(rollout_id: str, error: Exception, attempts: int) -> GroupLostError:
    rewarding = isinstance(error, RewardError)
    reason = LossReason.REWARD_FAILED if rewarding else LossReason.ROLLOUT_FAILED
    times = "once" if attempts == 1 else f"{attempts} times"
    return GroupLostError(
        reason, f"rollout {rollout_id} failed {times}, last with {type(error).__name__}: {error}"
    )


def _seeded(base: SamplingParams, rollout_id: str) -> SamplingParams:
    """Give the rollout a seed of its own, derived from the run's seed; None stays None."""
    if base.seed is None:
        return base
    digest = hashlib.blake2b(f"{base.seed}:{rollout_id}".encode(), digest_size=4).digest()
    return replace(base, seed=int.from_bytes(digest) & 0x7FFFFFFF)
