"""With a trainer attached to the trajectory API, the groups are the trainer's."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REGISTRATION = {
    "wandb_group": "g",
    "wandb_project": "p",
    "batch_size": 4,
    "max_token_len": 2048,
    "checkpoint_dir": "",
    "save_checkpoint_interval": -1,
    "starting_step": 0,
    "num_steps": 1000,
}


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def api_url(free_port: int) -> Iterator[str]:
    """A trajectory API that somebody else started, with a registered trainer."""
    command = [sys.executable, "-m", "treadle_envs.serving.api_server", str(free_port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        ask(f"{url}/register", REGISTRATION)
        ask(f"{url}/batch")
        yield url
        process.terminate()


def received(url: str, count: int) -> list[dict[str, Any]]:
    """Take batches as the trainer does until `count` groups have come."""
    groups: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60
    while len(groups) < count:
        assert time.monotonic() < deadline, f"{len(groups)} of {count} groups came"
        groups += ask(f"{url}/batch")["batch"] or []
        time.sleep(0.05)
    return groups


@pytest.mark.slow
def test_groups_go_to_the_attached_trainer_and_not_to_a_file(
    start_app: Callable[..., "subprocess.Popen[str]"], api_url: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start_app("--groups", "2", "--out", str(out))
    groups = received(api_url, 2)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert not (out / "groups.jsonl").exists()
    assert "groups delivered  2" in printed
    assert all(len(group["tokens"]) == 4 for group in groups)
    rows = (out / "rollouts.jsonl").read_text(encoding="utf-8").splitlines()
    rewards = {json.loads(row)["reward"] for row in rows}
    assert {score for group in groups for score in group["scores"]} == rewards
    assert ask(f"{api_url}/info")["batch_size"] == 4  # still registered: the API isn't ours


@pytest.mark.slow
def test_a_trainer_is_not_fed_rollouts_without_tokens(
    run_app: Callable[..., Any], api_url: str, tmp_path: Path
) -> None:
    assert api_url
    done = run_app("--env.model_mode", "chat", "--groups", "1", "--out", str(tmp_path / "out"))
    assert done.code != 0
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "exact tokens" in lines[0]
