"""Phase 1: a stock OpenAI-compatible server by URL alone, named by flag, environment or `.env`."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def model_server(*flags: str) -> Iterator[str]:
    """The embedded server as a child process; yields its base URL with `/v1`."""
    command = [sys.executable, "-m", "treadle_embedded", "serve", "--port", "0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on ")
            yield line.removeprefix("listening on ").strip() + "/v1"
        finally:
            process.terminate()
            process.wait(timeout=10)


@pytest.fixture(scope="module")
def chat_only_url() -> Iterator[str]:
    with model_server("--no-token-features") as url:
        yield url


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["flag", "environment", "dotenv"])
def test_a_server_without_token_features_works_by_url_alone(
    run_app: Callable[..., Any], tmp_path: Path, chat_only_url: str, source: str
) -> None:
    data, out = tmp_path / "problems.jsonl", tmp_path / "out"
    command = [sys.executable, "-m", "treadle_embedded.problems"]
    subprocess.run([*command, "--count", "50", "--seed", "9", "--out", str(data)], check=True)
    flags, env = ["--data", str(data), "--groups", "2", "--out", str(out)], {}
    if source == "flag":
        flags += ["--model-url", chat_only_url]
    elif source == "environment":
        env["ATROPOS_SERVER_BASE_URL"] = chat_only_url
    else:
        text = f"ATROPOS_SERVER_BASE_URL={chat_only_url}\n"
        (tmp_path / ".env").write_text(text, encoding="utf-8")
    done = run_app(*flags, env=env)
    assert done.code == 0, done.err
    assert "without token data" in done.err
    assert len(read_lines(out / "groups.jsonl")) == 2
    rollouts = read_lines(out / "rollouts.jsonl")
    assert all(row["segments"] == [] for row in rollouts)
    assert sum(bool(row["tool_calls"]) for row in rollouts) >= 0.9 * len(rollouts)
    assert sum(row["reward"] for row in rollouts) / len(rollouts) >= 0.6
