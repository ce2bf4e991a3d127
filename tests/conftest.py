"""Fixtures of the whole-workspace tests: the app as a child process, free ports, shared data."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "apps" / "serve_gsm8k"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def app_environment() -> dict[str, str]:
    """The test's environment without model settings, so that the embedded default holds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATROPOS_")}
    return kept | {"HF_HUB_OFFLINE": "1", "COLUMNS": "120"}


StartApp = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_app(
    app_environment: dict[str, str], free_port: int, tmp_path: Path
) -> Iterator[StartApp]:
    """Start `apps/serve_gsm8k` with its own API port in an empty folder; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str, env: dict[str, str] | None = None) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, str(APP), "--api-url", f"http://127.0.0.1:{free_port}", *flags],
            cwd=tmp_path,
            env=app_environment | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


class Finished:
    """A finished run of the app."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run_app(start_app: StartApp) -> Callable[..., Finished]:
    """Run the app to its end."""

    def run(*flags: str, env: dict[str, str] | None = None, timeout: float = 120) -> Finished:
        process = start_app(*flags, env=env)
        out, err = process.communicate(timeout=timeout)
        return Finished(process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def gsm8k_files() -> Path:
    """Folder with the real GSM8K files; skips where there is none."""
    candidates = [os.environ.get("TREADLE_SHARED"), ROOT.parent / "shared"]
    for candidate in candidates:
        if candidate and (Path(candidate) / "gsm8k" / "test.jsonl").is_file():
            return Path(candidate) / "gsm8k"
    pytest.skip("no shared/gsm8k beside the repository")
