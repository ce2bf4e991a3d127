"""Bad input to the app: one clear line that says what to do, a non-zero exit code, no traceback."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunApp = Callable[..., Any]


def complaint(done: Any) -> str:
    """The one line the app ends with; checks that it is one and that the run failed."""
    assert done.code not in (0, None)
    assert "Traceback" not in done.err
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.err
    return lines[0]


def test_unreachable_model_server(run_app: RunApp) -> None:
    url = "http://127.0.0.1:9/v1"  # the discard port: nothing listens there
    line = complaint(run_app("--model-url", url, "--model", "m", "--groups", "1"))
    assert url in line
    assert "--model-url" in line


def test_unknown_parser_names_near_ones(run_app: RunApp) -> None:
    line = complaint(run_app("--parser", "hermez", "--groups", "1"))
    assert "hermez" in line
    assert "hermes" in line


def test_wrong_model_name_names_the_served_ones(run_app: RunApp) -> None:
    line = complaint(run_app("--model", "no-such-model", "--groups", "1"))
    assert "no-such-model" in line
    assert "treadle" in line


def test_missing_data_file(run_app: RunApp) -> None:
    line = complaint(run_app("--data", "nowhere/problems.jsonl", "--groups", "1"))
    assert "nowhere/problems.jsonl" in line


def test_broken_data_line_is_named_by_number(run_app: RunApp, tmp_path: Path) -> None:
    data = tmp_path / "problems.jsonl"
    data.write_text('{"question": "1+1?", "answer": "#### 2"}\n{"question": \n', encoding="utf-8")
    line = complaint(run_app("--data", str(data), "--groups", "1"))
    assert str(data) in line
    assert "2" in line.split(str(data), 1)[1]


def test_malformed_env_file_is_named_by_line(run_app: RunApp, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nthis is no setting !\n", encoding="utf-8")
    line = complaint(run_app("--groups", "1"))
    assert ".env" in line
    assert "2" in line


def test_port_taken_by_something_else(run_app: RunApp, free_port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        line = complaint(run_app("--groups", "1"))
    assert str(free_port) in line
    assert "--api-url" in line


def test_isolation_below_the_asked_level(run_app: RunApp, tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    line = complaint(
        run_app("--isolation", "bubblewrap", "--groups", "1", env={"PATH": str(empty)})
    )
    assert "bubblewrap" in line


def test_unknown_isolation_level(run_app: RunApp) -> None:
    line = complaint(run_app("--isolation", "total", "--groups", "1"))
    assert "total" in line
    assert "namespaces" in line


def test_unknown_environment_setting_is_refused(run_app: RunApp) -> None:
    line = complaint(run_app("--env.group_sise", "4", "--groups", "1"))
    assert "group_sise" in line
    assert "group_size" in line


def test_bad_environment_value_is_refused(run_app: RunApp) -> None:
    line = complaint(run_app("--env.group_size", "many", "--groups", "1"))
    assert "group_size" in line
    assert "many" in line


def test_help_answers_within_a_second(run_app: RunApp) -> None:
    run_app("--help")
    begin = time.monotonic()
    done = run_app("--help")
    seconds = time.monotonic() - begin
    assert done.code == 0
    assert "--groups" in done.out
    assert seconds < 1.0


def test_unknown_flag_is_a_usage_error(run_app: RunApp) -> None:
    done = run_app("--grups", "1")
    assert done.code == 2
    assert "--grups" in done.err


@pytest.mark.parametrize("value", ["0", "-3"])
def test_a_count_below_one_is_refused(run_app: RunApp, value: str) -> None:
    assert "groups" in complaint(run_app("--groups", value))
