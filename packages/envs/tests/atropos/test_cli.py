"""The command line, run as people run it: a process of its own."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from treadle_agent_loop.testing import ScriptedTurn, ToyServer, call
from treadle_envs.atropos.cli import resolve_settings, run_cli
from treadle_envs.errors import SettingsError
from treadle_envs.gsm8k import Gsm8kEnv

PROGRAM = "from treadle_envs.gsm8k import Gsm8kEnv; Gsm8kEnv.cli()"


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.err.strip().splitlines()[-1]


def answer(messages: Any) -> ScriptedTurn:
    if messages[-1]["role"] == "tool":
        return ScriptedTurn(content="\\boxed{1}")
    return ScriptedTurn(calls=(call("python", code="print(1)"),))


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )


async def cli(folder: Path, *arguments: str) -> Ended:
    process = await start(folder, *arguments)
    out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())


Inside = Callable[..., Ended]


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Inside:
    """Run the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        try:
            status = run_cli(Gsm8kEnv, arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return run


async def test_process_runs_by_flags_and_file_with_atroposlibs_names(
    problems: Path, toy_server: Callable[..., ToyServer], tokenizer_folder: Path, tmp_path: Path
):
    settings = tmp_path / "run.yaml"
    settings.write_text(
        f"env:\n  dataset_name: {problems}\n  group_size: 7\n  min_isolation: auto\n"
        "openai:\n  - model_name: toy\n"
    )
    async with toy_server() as server:
        (tmp_path / ".env").write_text(f"ATROPOS_SERVER_BASE_URL={server.base_url}\n")
        ended = await cli(
            tmp_path,
            "process",
            "--config",
            str(settings),
            "--env.total_steps",
            "2",
            "--env.group_size=3",
            "--env.max_num_workers",
            "-1",
            f"--env.tokenizer_name={tokenizer_folder}",
        )
    assert ended.status == 0, ended.err
    assert "exact tokens with tokenizer" in ended.err
    groups = [json.loads(line) for line in (tmp_path / "data/gsm8k.jsonl").read_text().splitlines()]
    assert [len(group["tokens"]) for group in groups] == [3, 3]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["process"], 2, "ATROPOS_SERVER_BASE_URL"),
        (["process", "--openai.base_url", "nonsense"], 2, "no HTTP URL"),
        (["process", "--openai.base_url", "http://127.0.0.1:9"], 1, "127.0.0.1:9"),
        (["process", "--env.group_size", "0"], 2, "env.group_size"),
        (["process", "--env.groupsize", "4"], 2, "unrecognized arguments: --env.groupsize"),
        (["process", "--config", "missing.yaml"], 2, "missing.yaml"),
        (["process", "--openai.server_type", "trl"], 2, "trl"),
        (["process", "--env.thinking_mode", "true"], 2, "thinking_mode is not used here"),
        (["dance"], 2, "invalid choice"),
    ],
)
def test_bad_settings_end_in_one_line_without_a_traceback(
    inside: Inside, problems: Path, arguments: list[str], status: int, message: str
):
    common = ["--env.dataset_name", str(problems), "--env.min_isolation", "auto"]
    ended = inside(*arguments, *(common if arguments != ["dance"] else []))
    assert ended.status == status, ended.err
    assert message in ended.last_line
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("message", "extra"),
    [
        ("none.jsonl can't be read", ["--env.dataset_name", "none.jsonl"]),
        ("tool_call_parser", ["--env.tool_call_parser", "hermess"]),
        ("doesn't offer the model 'other'", ["--openai.model_name", "other"]),
    ],
)
async def test_what_only_the_run_finds_out_ends_in_one_line_too(
    inside: Inside, toy_server: Callable[..., ToyServer], message: str, extra: list[str]
):
    async with toy_server() as server:
        url = ["process", "--openai.base_url", server.base_url, "--env.min_isolation", "auto"]
        ended = await asyncio.to_thread(inside, *url, *extra)
    assert ended.status in (1, 2)
    assert message in ended.last_line
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_signal_ends_a_run_and_everything_it_started(
    toy_server: Callable[..., ToyServer],
    problems: Path,
    tmp_path: Path,
    until: Any,
    children: Callable[[], set[int]],
    number: signal.Signals,
    status: int,
):
    before = children()
    async with toy_server(tokenizer=None, tokens=None, chat=answer) as server:
        process = await start(
            tmp_path,
            "process",
            f"--openai.base_url={server.base_url}",
            f"--env.dataset_name={problems}",
            "--env.min_isolation=auto",
            "--env.total_steps=100000",
        )
        written = tmp_path / "data/gsm8k.jsonl"
        await until(lambda: written.exists() and written.stat().st_size)
        assert len(children() - before) > 1
        process.send_signal(number)
        async with asyncio.timeout(20):
            _, errors = await process.communicate()
    assert process.returncode == status, errors.decode()
    assert b"Traceback" not in errors
    await until(lambda: children() <= before)
    assert not any(".jsonl" not in path.name for path in written.parent.iterdir())


async def test_a_malformed_env_file_ends_in_one_line(tmp_path: Path):
    (tmp_path / ".env").write_text("A=1\nwhat is this\n")
    ended = await cli(tmp_path, "process")
    assert ended.status == 2
    assert "line 2" in ended.last_line
    assert "Traceback" not in ended.err


def resolved(**given: Any):
    return resolve_settings(
        Gsm8kEnv, "serve", env=given.get("env", {}), openai=given.get("openai", {}),
        config_file=given.get("config_file"),
    )  # fmt: skip


def test_unknown_names_in_a_file_are_refused_with_the_near_one(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text("env:\n  max_agent_turn: 3\n")
    with pytest.raises(SettingsError, match=r"did you mean env\.max_agent_turns"):
        resolved(config_file=path)
    path.write_text("envs: {}\n")
    with pytest.raises(SettingsError, match="'envs' is unknown"):
        resolved(config_file=path)


def test_wandb_is_off_unless_it_is_asked_for():
    assert resolved().config.use_wandb is False
    assert resolved(env={"use_wandb": "true"}).config.use_wandb is True


def test_settings_of_the_server_that_nothing_uses_are_refused():
    with pytest.raises(SettingsError, match=r"openai\.n_kwarg_is_ignored is not used"):
        resolved(openai={"n_kwarg_is_ignored": "true"})


def test_a_refused_api_key_is_not_shown():
    with pytest.raises(SettingsError) as caught:
        resolved(openai={"api_key": ["secret"]})
    assert "secret" not in str(caught.value)
