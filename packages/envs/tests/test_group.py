"""Groups run to completion, or are lost with a reason; failures are never scores."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import pytest

from treadle_agent_loop.context import ToolContext
from treadle_agent_loop.errors import ModelRequestError, ModelServerError
from treadle_agent_loop.model import Message
from treadle_agent_loop.record import record_json
from treadle_agent_loop.rollout import RolloutResult
from treadle_agent_loop.standard_tools import python_tool
from treadle_agent_loop.testing import ScriptedModel, ScriptedTurn, call
from treadle_agent_loop.tools import Tool
from treadle_envs.config import EnvironmentConfig
from treadle_envs.environment import Environment
from treadle_envs.errors import GroupLostError
from treadle_envs.evaluation import evaluate_items
from treadle_envs.group import GroupRunner
from treadle_envs.recording import to_record
from treadle_envs.records import Item, LossReason
from treadle_envs.testing import EventLog, HostBackend

ITEM = {"id": "one", "task": "say yes"}


class Answering(Environment[EnvironmentConfig]):
    """Rewards the answer `yes`, or does what a test says."""

    reward: Callable[[RolloutResult], object] = staticmethod(
        lambda result: float("yes" in result.final_text)
    )

    async def setup(self) -> None:
        pass

    async def get_next_item(self) -> Item:
        return ITEM

    def format_prompt(self, item: Item) -> str:
        return str(item["task"])

    def tools(self) -> tuple[Tool, ...]:
        return (python_tool,)

    async def compute_reward(self, item: Item, result: RolloutResult, ctx: ToolContext) -> float:
        outcome = type(self).reward(result)
        return await outcome if asyncio.iscoroutine(outcome) else outcome

    async def evaluate(self) -> None:
        return None


def runner_of(
    script: object,
    *,
    reward: Callable[[RolloutResult], object] | None = None,
    slots: int = 4,
    **settings: object,
) -> tuple[GroupRunner, EventLog, HostBackend, ScriptedModel]:
    kind = (
        Answering if reward is None else type("T", (Answering,), {"reward": staticmethod(reward)})
    )
    environment = kind(EnvironmentConfig(**settings))
    log, backend, model = EventLog(), HostBackend(slots), ScriptedModel(script)
    runner = GroupRunner(environment, client=model, backend=backend, observer=log)
    environment.attach(runner)
    return runner, log, backend, model


async def test_a_group_holds_every_rollout_scored():
    runner, log, backend, model = runner_of(["yes"], system_prompt="Be brief.")
    group = await runner.run(ITEM, group_id="g", group_size=3)
    assert [rollout.reward for rollout in group.rollouts] == [1.0, 1.0, 1.0]
    assert [rollout.rollout_id for rollout in group.rollouts] == ["g/0", "g/1", "g/2"]
    assert group.item_id == "one"
    assert log.events[-1] == "complete g"
    assert (backend.leased, backend.out) == (3, 0)
    assert model.requests[0] == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "say yes"},
    )
    assert model.tools[0] == (python_tool.schema,)


async def test_the_reward_sees_the_sandbox_as_the_rollout_left_it():
    write = ScriptedTurn(calls=(call("python", code="open('left', 'w').write('7'); print(7)"),))

    class Reading(Answering):
        async def compute_reward(
            self, item: Item, result: RolloutResult, ctx: ToolContext
        ) -> float:
            return float(await ctx.read_file("left"))

    environment = Reading(EnvironmentConfig())
    backend = HostBackend()
    runner = GroupRunner(environment, client=ScriptedModel([write, "yes"]), backend=backend)
    group = await runner.run(ITEM, group_id="g", group_size=2)
    assert [rollout.reward for rollout in group.rollouts] == [7.0, 7.0]


async def test_a_transient_failure_is_tried_again_and_reported():
    broken = iter([True, False])

    def script(messages: object) -> ScriptedTurn | str:
        if next(broken, False):
            return ScriptedTurn(error=ModelServerError("the server is down"))
        return "yes"

    runner, log, backend, _ = runner_of(script)
    group = await runner.run(ITEM, group_id="g", group_size=1)
    assert group.rollouts[0].reward == 1.0
    assert [failure.kind for failure in log.failures] == ["ModelServerError"]
    assert log.events.count("started g/0") == 2
    assert (backend.leased, backend.out) == (2, 0)


async def test_records_say_which_model_sampled_them_how_and_when():
    broken = iter([True, False])

    def script(messages: object) -> ScriptedTurn | str:
        if next(broken, False):
            return ScriptedTurn(error=ModelServerError("the server is down"))
        return "yes"

    runner, log, _, model = runner_of(script, seed=7)
    group = await runner.run(ITEM, group_id="g", group_size=1)
    kept, failed = record_json(to_record(group.rollouts[0])), log.failures[0]
    assert kept["model"] == model.model
    assert kept["seed"] == kept["sampling"]["seed"] == failed.seed
    assert kept["seed"] not in (None, 7)  # the rollout's own, drawn from the run's
    assert (failed.model, failed.item_id) == (model.model, "one")
    assert datetime.fromisoformat(failed.started) < datetime.fromisoformat(kept["started"])


async def test_a_failure_that_stays_loses_the_group_and_stops_its_other_rollouts():
    refusals = iter([ScriptedTurn(error=ModelRequestError("no such model"))])

    async def waits(result: RolloutResult) -> float:
        await asyncio.Event().wait()
        return 1.0

    def script(messages: list[Message]) -> ScriptedTurn | str:
        return next(refusals, "yes")

    runner, log, backend, _ = runner_of(script, reward=waits)
    with pytest.raises(GroupLostError, match="no such model") as caught:
        await runner.run(ITEM, group_id="g", group_size=3)
    assert caught.value.reason is LossReason.ROLLOUT_FAILED
    assert not log.rollouts
    assert backend.out == 0


async def test_retries_end_with_the_group_lost_and_nothing_scored():
    turn = ScriptedTurn(error=ModelServerError("down"))
    runner, log, backend, _ = runner_of([turn], rollout_retries=1)
    with pytest.raises(GroupLostError, match="failed 2 times, last with ModelServerError: down"):
        await runner.run(ITEM, group_id="g", group_size=1)
    assert len(log.failures) == 2
    assert not log.rollouts
    assert backend.out == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1.0"])
async def test_a_reward_that_is_no_finite_number_is_an_error_not_a_zero(value: object):
    runner, log, _, _ = runner_of(["yes"], reward=lambda result: value)
    with pytest.raises(GroupLostError, match="return a finite number") as caught:
        await runner.run(ITEM, group_id="g", group_size=2)
    assert caught.value.reason is LossReason.REWARD_FAILED
    assert not log.rollouts


async def test_a_reward_that_raises_is_an_error_not_a_zero():
    runner, log, _, _ = runner_of(["yes"], reward=lambda result: 1 / 0)
    with pytest.raises(GroupLostError, match="compute_reward raised ZeroDivisionError") as caught:
        await runner.run(ITEM, group_id="g", group_size=2)
    assert caught.value.reason is LossReason.REWARD_FAILED
    assert {failure.kind for failure in log.failures} == {"RewardError"}
    assert not log.rollouts


async def test_rollouts_wait_for_slots_and_a_wait_too_long_is_no_score():
    runner, _, backend, _ = runner_of(["yes"], slots=1)
    group = await runner.run(ITEM, group_id="g", group_size=5)
    assert len(group.rollouts) == 5
    held = await backend.lease()
    runner, _, _, _ = runner_of(["yes"], acquire_timeout_s=0.05, rollout_retries=0)
    runner.backend = backend
    with pytest.raises(GroupLostError, match="TimeoutError"):
        await runner.run(ITEM, group_id="h", group_size=1)
    await held.aclose()
    assert backend.out == 0


async def test_cancelling_a_group_returns_every_lease():
    started = asyncio.Event()

    async def never(result: RolloutResult) -> float:
        started.set()
        await asyncio.Event().wait()
        return 1.0

    runner, _, backend, _ = runner_of(["yes"], reward=never)
    running = asyncio.create_task(runner.run(ITEM, group_id="g", group_size=4))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert backend.leased > 0
    assert backend.out == 0


def test_seeds_are_the_rollouts_own_and_the_same_in_every_run():
    from treadle_envs.group import _seeded

    base = runner_of(["yes"], seed=5)[0].sampling()
    assert _seeded(base, "g/0").seed == _seeded(base, "g/0").seed
    assert _seeded(base, "g/0").seed != _seeded(base, "g/1").seed
    assert _seeded(runner_of(["yes"])[0].sampling(), "g/0").seed is None


async def test_an_evaluation_counts_errors_apart_from_scores():
    def script(messages: list[Message]) -> ScriptedTurn | str:
        asked = str(messages[-1]["content"])
        if "break" in asked:
            return ScriptedTurn(error=ModelRequestError("broken"))
        return "yes" if "yes" in asked else "no"

    runner, log, backend, _ = runner_of(script)
    items = [{"id": str(n), "task": task} for n, task in enumerate(["yes", "no", "break", "yes"])]
    report = await evaluate_items(runner, items, temperature=0.0, concurrency=3)
    metrics = report.metrics()
    assert metrics["eval/n_scored"] == 3
    assert metrics["eval/n_errored"] == 1
    assert metrics["eval/percent_correct"] == pytest.approx(2 / 3)
    assert metrics["eval/standard_error"] == pytest.approx(1 / 3)
    assert [rollout.item_id for rollout in report.rollouts] == ["0", "1", "3"]
    assert "broken" in report.errors[0]
    assert len(report.samples()) == 4
    assert list(log.lost) == ["eval-000002"]
    assert backend.out == 0


async def test_an_evaluation_without_scores_claims_no_mean():
    turn = ScriptedTurn(error=ModelRequestError("broken"))
    runner, _, _, _ = runner_of([turn])
    report = await evaluate_items(runner, [ITEM], temperature=0.0, concurrency=1)
    assert report.mean is None
    assert set(report.metrics()) == {"eval/n_scored", "eval/n_errored"}
