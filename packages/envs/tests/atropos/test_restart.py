"""The trajectory API goes away and comes back: no group is lost without a count."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atroposlib.envs.server_handling.server_manager import APIServerConfig

from treadle_agent_loop.testing import ScriptedModel
from treadle_envs.errors import TrajectoryApiError
from treadle_envs.gsm8k import Gsm8kEnv, Gsm8kEnvConfig
from treadle_envs.testing import EventLog, HostBackend


def env_of(problems: Path, log: EventLog, url: str, **settings: Any) -> Gsm8kEnv:
    config = Gsm8kEnvConfig(
        dataset_name=str(problems),
        group_size=2,
        rollout_server_url=url,
        serve_without_tokens=True,
        **settings,
    )
    return Gsm8kEnv(
        config,
        [APIServerConfig()],
        observer=log,
        client=ScriptedModel(["\\boxed{1}"]),
        backend=HostBackend(),
    )


async def test_serving_goes_on_with_a_restarted_api_once_its_trainer_is_back(
    problems: Path, start_api: Callable[[int | None], Any], until: Any
):
    log = EventLog()
    api = start_api(None)
    await api.trainer.start(batch_size=2)
    env = env_of(problems, log, api.url, max_groups=6, max_batches_offpolicy=2)
    serving = asyncio.create_task(env.env_manager())
    await until(lambda: len(log.delivered) >= 2)
    api.stop()
    again = start_api(api.port)
    await again.trainer.start(batch_size=2)
    while not serving.done():
        await again.trainer.take()
        have = len(log.delivered)
        await until(lambda have=have: len(log.delivered) > have or serving.done())
    await serving
    begun = {event.split()[1].split("/")[0] for event in log.events if event.startswith("started")}
    assert begun == {group.group_id for group in log.delivered} | set(log.lost)
    assert len(log.delivered) == 6


async def test_an_api_that_stays_away_ends_the_run_with_one_error(
    problems: Path, start_api: Callable[[int | None], Any], until: Any
):
    log = EventLog()
    api = start_api(None)
    await api.trainer.start(batch_size=64)
    env = env_of(problems, log, api.url, rollout_server_patience=0.5)
    serving = asyncio.create_task(env.env_manager())
    await until(lambda: log.delivered)
    api.stop()
    with pytest.raises(TrajectoryApiError, match="run-api"):
        await serving
    begun = {event.split()[1].split("/")[0] for event in log.events if event.startswith("started")}
    assert begun == {group.group_id for group in log.delivered} | set(log.lost)
