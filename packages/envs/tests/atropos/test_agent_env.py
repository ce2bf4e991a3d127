"""`Gsm8kEnv` end to end: real sandbox, real HTTP, a toy model, the real trajectory API."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atroposlib.envs.server_handling.server_manager import APIServerConfig

from treadle_agent_loop.testing import Fault, ScriptedModel, ScriptedTurn, ToyServer, call
from treadle_envs.errors import GroupLostError, ModelChoiceError, SettingsError
from treadle_envs.gsm8k import Gsm8kEnv, Gsm8kEnvConfig
from treadle_envs.testing import EventLog, HostBackend

Servers = Callable[..., ToyServer]


def env_of(
    problems: Path,
    *,
    url: str = "",
    log: EventLog | None = None,
    backend: HostBackend | None = None,
    client: Any = None,
    **settings: Any,
) -> Gsm8kEnv:
    config = Gsm8kEnvConfig(
        **{
            "dataset_name": str(problems),
            "min_isolation": "auto",
            "group_size": 2,
            "seed": 3,
            "max_groups": 3,
            **settings,
        }
    )
    server = APIServerConfig(base_url=url, model_name="toy")
    return Gsm8kEnv(config, [server], observer=log, backend=backend, client=client)


def scripted(messages: Any) -> ScriptedTurn | str:
    if messages[-1]["role"] == "tool":
        return "\\boxed{1}"
    return ScriptedTurn(calls=(call("python", code="print(1)"),))


async def test_serve_delivers_exact_tokens_to_the_trainer(
    problems: Path,
    trainer: Any,
    toy_server: Servers,
    tokenizer_folder: Path,
    tmp_path: Path,
    children: Callable[[], set[int]],
):
    log, before = EventLog(), children()
    written = tmp_path / "groups.jsonl"
    async with toy_server() as server:
        env = env_of(
            problems,
            url=server.base_url,
            log=log,
            tokenizer_name=str(tokenizer_folder),
            rollout_server_url=trainer.url,
            data_path_to_save_groups=str(written),
            model_mode="token",
        )
        await trainer.start(batch_size=2)
        await env.env_manager()
    await trainer.take()
    assert len(log.delivered) == len(trainer.groups) == 3
    assert not log.lost
    for group in trainer.groups:
        counts = {len(group[name]) for name in ("tokens", "masks", "scores", "inference_logprobs")}
        assert counts == {2}
        assert group["scores"] == [1.0, 1.0]
        for tokens, masks, logprobs in zip(
            group["tokens"], group["masks"], group["inference_logprobs"], strict=True
        ):
            assert len(tokens) == len(masks) == len(logprobs)
            assert any(mask != -100 for mask in masks)
            for token, mask, logprob in zip(tokens, masks, logprobs, strict=True):
                assert (mask == -100 and logprob == 1.0) or (mask == token and logprob <= 0)
    sent = [json.loads(line) for line in written.read_text().splitlines()]
    received = [group["tokens"] for group in trainer.groups]
    assert sorted(group["tokens"] for group in sent) == sorted(received)
    assert all(rollout.result.tool_records for rollout in log.rollouts)
    assert {rollout.isolation for rollout in log.rollouts} <= {
        "bubblewrap",
        "namespaces",
        "process",
    }
    assert children() == before


async def test_serve_works_on_a_chat_server_by_url_alone(
    problems: Path, trainer: Any, toy_server: Servers
):
    def chat(messages: Any) -> ScriptedTurn:
        turn = scripted(messages)
        return turn if isinstance(turn, ScriptedTurn) else ScriptedTurn(content=turn)

    log = EventLog()
    async with toy_server(chat=chat, tokenizer=None, tokens=None) as server:
        env = env_of(
            problems,
            url=server.base_url,
            log=log,
            rollout_server_url=trainer.url,
            serve_without_tokens=True,
        )
        await trainer.start(batch_size=2)
        await env.env_manager()
    await trainer.take()
    assert [group["tokens"] for group in trainer.groups] == [[[], []]] * 3
    assert trainer.groups[0]["messages"][0][-1]["content"] == "\\boxed{1}"


async def test_no_more_groups_are_begun_than_asked_for(problems: Path, trainer: Any):
    log = EventLog()
    env = env_of(
        problems,
        client=ScriptedModel(scripted),
        backend=HostBackend(),
        log=log,
        rollout_server_url=trainer.url,
        serve_without_tokens=True,
        max_groups=5,
    )
    await trainer.start(batch_size=64)
    await env.env_manager()
    assert len(log.delivered) == 5
    assert len({rollout.group_id for rollout in log.rollouts}) == 5


async def test_a_full_queue_holds_new_groups_back_and_cancels_none(
    problems: Path, trainer: Any, until: Any
):
    log = EventLog()
    env = env_of(
        problems,
        client=ScriptedModel(scripted),
        backend=HostBackend(),
        log=log,
        rollout_server_url=trainer.url,
        serve_without_tokens=True,
        max_groups=9,
        max_batches_offpolicy=2,
    )
    await trainer.start(batch_size=2)
    running = asyncio.create_task(env.env_manager())
    await until(lambda: len(log.delivered) == 2)
    while len(log.delivered) < 9:
        await trainer.take()
        have = len(log.delivered)
        await until(lambda have=have: len(log.delivered) > have or running.done())
    await running
    await trainer.take()
    assert len(trainer.groups) == 9
    assert not log.lost


async def test_cancelling_serve_leaves_no_lease_process_or_open_group(
    problems: Path,
    trainer: Any,
    toy_server: Servers,
    tokenizer_folder: Path,
    children: Callable[[], set[int]],
    until: Any,
):
    log, before = EventLog(), children()
    async with toy_server() as server:
        env = env_of(
            problems,
            url=server.base_url,
            log=log,
            tokenizer_name=str(tokenizer_folder),
            rollout_server_url=trainer.url,
            max_groups=-1,
        )
        await trainer.start(batch_size=64)
        running = asyncio.create_task(env.env_manager())
        await until(lambda: log.delivered)
        server.faults.extend([Fault(hang=True)] * 50)
        await until(lambda: server.open_requests)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    begun = {event.split()[1].split("/")[0] for event in log.events if event.startswith("started")}
    ended = {group.group_id for group in log.delivered} | set(log.lost)
    assert begun <= ended
    assert children() == before


async def test_groups_that_keep_failing_end_the_run_with_the_reason(problems: Path, trainer: Any):
    log = EventLog()
    env = env_of(
        problems,
        client=ScriptedModel([ScriptedTurn(error=RuntimeError("the tool is broken"))]),
        backend=HostBackend(),
        log=log,
        rollout_server_url=trainer.url,
        serve_without_tokens=True,
        max_losses_in_a_row=3,
    )
    await trainer.start(batch_size=2)
    with pytest.raises(GroupLostError, match=r"groups in a row were lost.*the tool is broken"):
        await env.env_manager()
    assert not log.rollouts
    assert all(reason.startswith(("rollout_failed", "cancelled")) for reason in log.lost.values())


async def test_equal_scores_are_a_counted_loss_when_asked_for(problems: Path, tmp_path: Path):
    log = EventLog()
    env = env_of(
        problems,
        client=ScriptedModel(["no answer"]),
        backend=HostBackend(),
        log=log,
        ensure_scores_are_not_same=True,
        data_path_to_save_groups=str(tmp_path / "groups.jsonl"),
        worker_timeout=30,
    )
    async with env.running():
        item = await env.get_next_item()
        assert await env.run_group(item) is None
    assert next(iter(log.lost.values())).startswith("same_scores")
    assert env.losses_in_a_row == 0


async def test_a_group_over_the_worker_timeout_is_a_counted_loss(problems: Path):
    class Slow(Gsm8kEnv):
        async def compute_reward(self, item: Any, result: Any, ctx: Any) -> float:
            await asyncio.Event().wait()
            return 1.0

    config = Gsm8kEnvConfig(dataset_name=str(problems), worker_timeout=0.2, group_size=2)
    log, backend = EventLog(), HostBackend()
    env = Slow(
        config, [APIServerConfig()], observer=log, client=ScriptedModel(["x"]), backend=backend
    )
    async with env.running():
        assert await env.run_group(await env.get_next_item()) is None
    assert next(iter(log.lost.values())).startswith("timeout")
    assert backend.out == 0


async def test_process_writes_as_many_groups_as_asked_for(problems: Path, tmp_path: Path):
    path = tmp_path / "groups.jsonl"
    path.write_text("an older run\n")
    log = EventLog()
    env = env_of(
        problems,
        client=ScriptedModel(scripted),
        backend=HostBackend(),
        log=log,
        total_steps=4,
        data_path_to_save_groups=str(path),
        write_html=True,
    )
    await env.process_manager()
    assert path.read_text() == "an older run\n"
    written = tmp_path / "groups_1.jsonl"
    assert len(written.read_text().splitlines()) == 4
    assert written.with_suffix(".html").is_file()
    assert len(log.delivered) == 4


async def test_evaluate_uses_the_tools_and_writes_metrics_and_samples(
    problems: Path, tmp_path: Path, toy_server: Servers, tokenizer_folder: Path
):
    async with toy_server() as server:
        env = env_of(
            problems,
            url=server.base_url,
            tokenizer_name=str(tokenizer_folder),
            data_dir_to_save_evals=str(tmp_path),
            eval_limit=6,
        )
        report = await env.evaluate_manager()
    assert report is not None
    assert all(rollout.result.tool_records for rollout in report.rollouts)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["results"]["all"]
    assert metrics["eval/percent_correct"] == 1.0
    assert (metrics["eval/n_scored"], metrics["eval/n_errored"]) == (6, 0)
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == 6
    assert {sample["reward"] for sample in samples} == {1.0}


async def test_the_same_seed_gives_the_same_tasks(problems: Path):
    orders = []
    for _ in range(2):
        env = env_of(problems, client=ScriptedModel(["x"]), backend=HostBackend())
        async with env.running():
            orders.append([(await env.get_next_item())["id"] for _ in range(200)])
    assert orders[0] == orders[1]
    assert len(set(orders[0][:120])) == 120


async def test_token_mode_on_a_server_without_token_ids_is_one_clear_error(
    problems: Path, toy_server: Servers, tokenizer_folder: Path
):
    async with toy_server(token_ids=False) as server:
        env = env_of(
            problems,
            url=server.base_url,
            tokenizer_name=str(tokenizer_folder),
            model_mode="token",
            backend=HostBackend(),
        )
        with pytest.raises(ModelChoiceError, match="model_mode=token can't be used"):
            await env.process_manager()


async def test_without_a_model_server_the_error_says_what_to_set(problems: Path):
    with pytest.raises(SettingsError, match="ATROPOS_SERVER_BASE_URL"):
        await env_of(problems, backend=HostBackend()).process_manager()


def test_two_servers_are_refused(problems: Path):
    config = Gsm8kEnvConfig(dataset_name=str(problems))
    with pytest.raises(SettingsError, match="load balancer"):
        Gsm8kEnv(config, [APIServerConfig(), APIServerConfig()])
