"""The launcher as a user runs it, with a small program in the place of the engine.

What it does with a real engine is in `test_vllm.py`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "apps" / "serve_model"
ENGINE = """
import http.server, json, os, subprocess, sys, time
if "--die" in sys.argv:
    print("INFO starting")
    sys.exit("ValueError: no such dtype")
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
place = sys.argv.index("--port")
with open(os.environ["ENGINE_FACTS"], "w") as file:
    json.dump({"argv": sys.argv[1:], "pids": [os.getpid(), worker.pid]}, file)
if "--never" in sys.argv:
    time.sleep(600)

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path == "/die":
            os._exit(7)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[place + 1])), Health).serve_forever()
"""
Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    return tmp_path / "facts.json"


@pytest.fixture
def launch(tmp_path: Path, facts: Path) -> Iterator[Launch]:
    """Starts the app with the program above as vLLM; killed at the end."""
    module = tmp_path / "site" / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    module.write_text(ENGINE, encoding="utf-8")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}", encoding="utf-8")
    (model / "chat_template.jinja").write_text("<tool_call> </tool_call>", encoding="utf-8")
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str, model: str = str(model)) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, str(APP), model, *flags],
            env=os.environ
            | {"PYTHONPATH": str(tmp_path / "site"), "ENGINE_FACTS": str(facts), "PATH": "/bin"},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def engine(*more: str) -> tuple[str, ...]:
    """Flags for the engine of these tests."""
    return ("--engine-python", sys.executable, "--port", "0", "--log", "logs/engine.log", *more)


def read_until(process: "subprocess.Popen[str]", last: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(last):
            return lines
    raise AssertionError(process.communicate())


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def assert_all_ended(facts: Path) -> None:
    deadline = time.monotonic() + 10
    pids = json.loads(facts.read_text())["pids"]
    while any(map(alive, pids)) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert [pid for pid in pids if alive(pid)] == []


def complaint(process: "subprocess.Popen[str]") -> str:
    """The one line that a failed run ends with."""
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_settings_are_printed_and_a_signal_stops_the_engine_and_its_workers(
    launch: Launch, facts: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = launch(*engine("--name", "tiny", "--", "--dtype", "float32", "--name", "x"))
    lines = read_until(process, "ATROPOS_TOKENIZER_NAME")
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    argv = json.loads(facts.read_text())["argv"]
    port = argv[argv.index("--port") + 1]
    assert settings == {
        "ATROPOS_SERVER_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "ATROPOS_SERVER_MODEL": "tiny",
        "ATROPOS_TOKENIZER_NAME": str(tmp_path / "model"),
    }
    assert argv[-4:] == ["--dtype", "float32", "--name", "x"]
    assert argv[argv.index("--tool-call-parser") + 1] == "hermes"
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "ready after" in err
    assert_all_ended(facts)


def test_a_signal_while_the_engine_starts_stops_it(launch: Launch, facts: Path) -> None:
    process = launch(*engine("--", "--never"))
    deadline = time.monotonic() + 30
    while not facts.exists() or not facts.read_text().endswith("}"):
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert_all_ended(facts)


def test_an_engine_that_ends_at_once_is_reported_with_its_last_words(launch: Launch) -> None:
    line = complaint(launch(*engine("--", "--die")))
    assert "status 1: ValueError: no such dtype" in line
    assert "engine.log" in line


def test_an_engine_that_is_never_ready_is_given_up(launch: Launch, facts: Path) -> None:
    line = complaint(launch(*engine("--timeout", "3", "--", "--never")))
    assert "wasn't ready after 3 seconds" in line
    assert_all_ended(facts)


def test_an_engine_that_dies_while_it_serves_ends_the_launcher(launch: Launch, facts: Path) -> None:
    process = launch(*engine())
    read_until(process, "ATROPOS_TOKENIZER_NAME")
    argv = json.loads(facts.read_text())["argv"]
    port = int(argv[argv.index("--port") + 1])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /die HTTP/1.0\r\n\r\n")
    assert "status 7" in complaint(process)
    assert_all_ended(facts)


def test_a_model_that_is_none_is_one_line(launch: Launch) -> None:
    line = complaint(launch(*engine(), model="no-such-model"))
    assert "'no-such-model' is neither a model folder nor a hub name" in line


def test_an_engine_that_is_not_there_is_one_line(launch: Launch) -> None:
    assert "vLLM isn't on PATH: pip install vllm" in complaint(launch("--port", "0"))
    assert "SGLang isn't on PATH" in complaint(launch("--engine", "sglang"))


def test_a_port_that_is_taken_is_one_line(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = complaint(launch("--engine-python", sys.executable, "--port", port))
    assert port in line
    assert "--port" in line


def test_an_unknown_parser_is_one_line(launch: Launch) -> None:
    assert "hermes" in complaint(launch(*engine("--tool-parser", "hermez")))


def test_the_plugin_is_for_vllm_alone(launch: Launch) -> None:
    assert "for vLLM alone" in complaint(launch("--engine", "sglang", "--plugin"))


def test_help_answers_within_a_second(launch: Launch) -> None:
    launch("--help").communicate(timeout=60)
    begin = time.monotonic()
    out, _ = launch("--help").communicate(timeout=60)
    assert time.monotonic() - begin < 1.0
    assert "--engine-python" in out


def test_an_unknown_flag_is_a_usage_error(launch: Launch) -> None:
    process = launch("--ports", "1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--ports" in err
