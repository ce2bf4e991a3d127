"""The three things a run can do: serve a trainer, write files, evaluate."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import aiohttp

from treadle_envs.atropos.env import AgentEnv
from treadle_envs.serving.configuration import Files
from treadle_envs.serving.consumer import BatchConsumer, Group
from treadle_envs.serving.options import RunOptions
from treadle_envs.serving.trajectory_api import trainer_attached, trajectory_api

logger = logging.getLogger(__name__)

_QUEUE_SECONDS = 1.0
_LAST_GROUPS_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Run:
    """What a mode works with."""

    env: AgentEnv[Any]
    http: aiohttp.ClientSession
    options: RunOptions
    files: Files
    queue_size: int | None = None
    """Groups waiting in the trajectory API, as last seen."""
    received: int = 0
    """Groups the local consumer took."""

    def note_received(self, group: Group) -> None:
        """Count a group that the local consumer took."""
        self.received += 1


async def serve(run: Run) -> None:
    """Feed a trainer, or the local consumer where there is none, until the last group."""
    async with trajectory_api(run.http, run.options.api_url, run.files.logs) as url:
        run.env.config.rollout_server_url = url
        watching = asyncio.create_task(_watch_queue(run, url))
        try:
            if run.options.wait_for_trainer or await trainer_attached(run.http, url):
                await run.env.env_manager()
            else:
                await _serve_locally(run, url)
        finally:
            watching.cancel()


async def process(run: Run) -> None:
    """Write groups to files."""
    await run.env.process_manager()


async def evaluate(run: Run) -> None:
    """Evaluate once."""
    await run.env.evaluate_manager()


async def _serve_locally(run: Run, url: str) -> None:
    """Serve with the local consumer in the trainer's place."""
    config = run.env.config
    config.serve_without_tokens = True
    # One group a batch: the consumer never holds a finished group back.
    config.max_batches_offpolicy = max(config.max_batches_offpolicy, run.env.max_num_workers)
    async with _consumer(run, url) as taking:
        serving = asyncio.create_task(run.env.env_manager())
        try:
            await asyncio.wait({serving, taking}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await taking  # ended first: with the last group, or with an error
            await serving
            if run.options.groups is not None:
                async with asyncio.timeout(_LAST_GROUPS_SECONDS):
                    await taking
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


@contextlib.asynccontextmanager
async def _consumer(run: Run, url: str) -> AsyncGenerator["asyncio.Task[None]"]:
    """The local consumer as a running task; it leaves the API when the block ends."""
    config = run.env.config
    consumer = BatchConsumer(
        run.http,
        url,
        path=run.files.groups,
        batch_size=config.group_size,
        max_token_length=-1,
        on_group=run.note_received,
    )
    await consumer.register()
    logger.info("no trainer is attached: a local consumer takes the groups")
    task = asyncio.create_task(consumer.run(groups=run.options.groups))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(aiohttp.ClientError):
            await asyncio.shield(consumer.leave())


async def _watch_queue(run: Run, url: str) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with run.http.get(f"{url}/status") as answer:
                run.queue_size = (await answer.json())["queue_size"]
        await asyncio.sleep(_QUEUE_SECONDS)
