"""Keeping a trainer fed: as many groups in flight as its queue has room for, and no more.

The loop asks the API how long the queue is, starts groups up to the off-policy limit, runs the
evaluation when the trainer's steps say so, and ends at `max_groups`, `total_steps` or the last
task. Back-pressure never cancels a running group: it only keeps new ones from starting. Leaving
the loop, by cancellation too, leaves no group behind.
"""

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

from atroposlib.envs.base import EvalHandlingEnum

from treadle_envs.atropos.trajectory_client import QueueStatus, TrajectoryClient
from treadle_envs.errors import GroupLostError, SettingsError, TrajectoryApiError
from treadle_envs.failures import first_error
from treadle_envs.records import Item

if TYPE_CHECKING:
    from treadle_envs.atropos.env import AgentEnv

logger = logging.getLogger(__name__)

_POLL = 0.25
"""Seconds between looks at the queue when nothing happens here."""


_GOODBYE = 2.0
"""Seconds that telling the API of the end may take."""


class ServeLoop:
    """One run of `env_manager`."""

    def __init__(self, env: "AgentEnv[Any]", api: TrajectoryClient) -> None:
        self._env = env
        self._api = api
        self._env_id = -1
        self._unallocated = 1.0
        self._delivered = 0
        self._exhausted = False
        self._groups: set[asyncio.Task[None]] = set()
        self._evaluation: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Serve until the end.

        Raises:
            TrajectoryApiError: the API is gone for longer than the patience.
            GroupLostError: too many groups were lost in a row.
        """
        await self._register()
        if self._env.config.use_wandb:
            await self._env.setup_wandb()
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._serve(tasks)
                for group in self._groups:
                    group.cancel()
                if self._evaluation is not None:
                    await self._evaluation
        except ExceptionGroup as failures:
            raise first_error(failures) from failures
        finally:
            await asyncio.shield(self._disconnect())

    async def _serve(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._progress.clear()
            status = await self._status()
            self._check_step(status, tasks)
            if self._finished(status):
                return
            self._check_losses()
            await self._fill(status, tasks)
            try:
                async with asyncio.timeout(_POLL):
                    await self._progress.wait()
            except TimeoutError:
                continue

    async def _register(self) -> None:
        env, config = self._env, self._env.config
        registration = await self._api.register(
            name=config.wandb_name or env.name or type(env).__name__,
            group_size=config.group_size,
            max_token_length=config.max_token_length,
            weight=config.inference_weight,
            min_batch_allocation=config.min_batch_allocation,
        )
        info = await self._api.info()
        if info.batch_size != -1:
            config.batch_size = info.batch_size
        if config.batch_size < config.group_size:
            raise SettingsError(
                f"the trainer's batch size ({config.batch_size}) is smaller than group_size "
                f"({config.group_size}): make one fit the other"
            )
        if config.total_steps == -1:
            config.total_steps = registration.num_steps
        self._env_id = registration.env_id
        env.wandb_prepend = registration.name
        env.checkpoint_dir = registration.checkpoint_dir
        env.checkpoint_interval = registration.checkpoint_interval
        env.curr_step = registration.starting_step
        if env.curr_step > 0:
            env.load_checkpoint()
        env.connect(self._api, env_id=self._env_id, max_length=info.max_token_len)
        logger.info("registered as %s with the trainer at %s", registration.name, self._api.url)

    async def _disconnect(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE):
                await self._api.disconnect(self._env_id)
        except (TrajectoryApiError, TimeoutError) as error:
            logger.info("the trajectory API wasn't told of the end: %s", error)

    async def _status(self) -> QueueStatus:
        """Return the queue's state; register again when a restarted API has forgotten us."""
        try:
            status = await self._api.status(self._env_id)
        except TrajectoryApiError as error:
            if error.status is None:
                raise
            logger.warning("the trajectory API doesn't know this environment; registering again")
            await self._register()
            status = await self._api.status(self._env_id)
        self._unallocated = status.unallocated_fraction
        return status

    def _check_step(self, status: QueueStatus, tasks: asyncio.TaskGroup) -> None:
        env, step = self._env, status.current_step
        if step == env.curr_step:
            return
        previous, env.curr_step = env.curr_step, step
        if _crossed(previous, step, env.config.steps_per_eval) and not self._evaluating:
            self._evaluation = tasks.create_task(self._evaluate())
        if _crossed(previous, step, env.checkpoint_interval):
            env.save_checkpoint(step // env.checkpoint_interval * env.checkpoint_interval)
        if env.items_sent_this_step >= env.config.min_items_sent_before_logging:
            env.items_sent_this_step = 0
            tasks.create_task(env.wandb_log({}))

    @property
    def _evaluating(self) -> bool:
        return self._evaluation is not None and not self._evaluation.done()

    async def _evaluate(self) -> None:
        await self._env.run_evaluation()
        self._progress.set()

    def _finished(self, status: QueueStatus) -> bool:
        config = self._env.config
        if 0 <= config.max_groups <= self._delivered:
            return True
        if self._exhausted and not self._groups:
            return True
        queued_steps = status.queue_size * config.group_size // config.batch_size
        return status.current_step + queued_steps > config.total_steps

    def _check_losses(self) -> None:
        env = self._env
        if env.losses_in_a_row >= env.config.max_losses_in_a_row and env.last_loss is not None:
            raise GroupLostError(
                env.last_loss.reason,
                f"{env.losses_in_a_row} groups in a row were lost; the last one: {env.last_loss}",
            )

    def _room(self, status: QueueStatus) -> int:
        """Return how many more groups may start now."""
        config, flying = self._env.config, len(self._groups)
        workers = self._env.max_num_workers
        if self._evaluating:
            if config.eval_handling is EvalHandlingEnum.STOP_TRAIN:
                return 0
            if config.eval_handling is EvalHandlingEnum.LIMIT_TRAIN:
                workers = int(workers * config.eval_limit_ratio)
        share = config.min_batch_allocation
        batch = config.batch_size * (self._unallocated + (share or 0.0))
        queue_room = int(config.max_batches_offpolicy * batch // config.group_size)
        queue_room -= status.queue_size
        if share is not None:
            own = math.ceil(share * config.batch_size * config.max_batches_offpolicy)
            queue_room = max(queue_room, own // config.group_size - status.self_queue_size)
        room = min(workers, queue_room) - flying
        if config.max_groups >= 0:
            room = min(room, config.max_groups - self._delivered - flying)
        return room

    async def _fill(self, status: QueueStatus, tasks: asyncio.TaskGroup) -> None:
        for _ in range(self._room(status)):
            item = None if self._exhausted else await self._env.get_next_item()
            if item is None:
                self._exhausted = True
                return
            group = tasks.create_task(self._run_group(item))
            self._groups.add(group)
            group.add_done_callback(self._groups.discard)

    async def _run_group(self, item: Item) -> None:
        try:
            if await self._env.run_group(item) is not None:
                self._delivered += 1
        finally:
            self._progress.set()


def _crossed(previous: int, current: int, interval: int) -> bool:
    """Whether a multiple of `interval` lies in (previous, current]."""
    return interval > 0 and current // interval > previous // interval
