"""What an environment does as its trainer steps: evaluation, metrics, shares of the batch."""

import asyncio
from pathlib import Path
from typing import Any

from atroposlib.envs.server_handling.server_manager import APIServerConfig

from treadle_agent_loop.testing import ScriptedModel
from treadle_envs.gsm8k import Gsm8kEnv, Gsm8kEnvConfig
from treadle_envs.testing import EventLog, HostBackend


class Reporting(Gsm8kEnv):
    """Keeps the metrics it reports."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reports: list[dict[str, Any]] = []

    async def log_to_wandb(self, metrics: dict[str, Any]) -> None:
        self.reports.append(metrics)
        await super().log_to_wandb(metrics)


def env_of(problems: Path, log: EventLog, trainer: Any, **settings: Any) -> Reporting:
    config = Gsm8kEnvConfig(
        dataset_name=str(problems),
        group_size=2,
        rollout_server_url=trainer.url,
        serve_without_tokens=True,
        **settings,
    )
    return Reporting(
        config,
        [APIServerConfig()],
        observer=log,
        client=ScriptedModel(["\\boxed{1}"]),
        backend=HostBackend(),
    )


async def take_all(env: Reporting, log: EventLog, trainer: Any, until: Any) -> None:
    serving = asyncio.create_task(env.env_manager())
    while not serving.done():
        await trainer.take()
        seen = len(log.events)
        await until(lambda seen=seen: len(log.events) > seen or serving.done())
    await serving
    await trainer.take()


async def test_evaluation_and_metrics_follow_the_trainers_steps(
    problems: Path, trainer: Any, until: Any
):
    log = EventLog()
    env = env_of(
        problems,
        log,
        trainer,
        max_groups=8,
        max_batches_offpolicy=2,
        steps_per_eval=2,
        eval_limit=3,
        min_items_sent_before_logging=1,
    )
    await trainer.start(batch_size=2)
    await take_all(env, log, trainer, until)
    evaluated = {r.group_id for r in log.rollouts if r.group_id.startswith("eval-")}
    assert evaluated == {"eval-000000", "eval-000001", "eval-000002"}
    assert len([g for g in log.delivered if not g.group_id.startswith("eval-")]) == 8
    names = {name for report in env.reports for name in report}
    assert {
        "train/percent_correct",
        "train/total_rollouts",
        "train/avg_tool_calls",
        "train/tool_use_rate",
        "eval/percent_correct",
    } <= names
    assert max(report["train/total_rollouts"] for report in env.reports) <= 16


async def test_the_run_ends_when_the_trainers_steps_are_done(
    problems: Path, trainer: Any, until: Any
):
    log = EventLog()
    env = env_of(problems, log, trainer, total_steps=3, max_batches_offpolicy=2)
    await trainer.start(batch_size=2)
    await take_all(env, log, trainer, until)
    assert 3 <= len(log.delivered) <= 12


async def test_an_environment_with_a_share_of_the_batch_gets_it(
    problems: Path, trainer: Any, until: Any
):
    log = EventLog()
    env = env_of(problems, log, trainer, max_groups=6, min_batch_allocation=0.5)
    await trainer.start(batch_size=4)
    await take_all(env, log, trainer, until)
    assert len(trainer.groups) == 6
