"""A vLLM server with the plugin, asked over HTTP.

`TREADLE_VLLM_PYTHON` names the interpreter and `TREADLE_VLLM_MODEL` the folder of a small model
that calls its `python` tool in the `hermes` format; without them this is skipped.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from treadle_parsers.openai import accumulated
from treadle_parsers.shims.vllm import plugin_path

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(600)]

SOURCE = Path(__file__).resolve().parents[1] / "src"
READY = "Application startup complete"
ENGINE = (
    *("--dtype", "float32", "--max-model-len", "2048", "--enforce-eager"),
    *("--host", "127.0.0.1", "--served-model-name", "small", "--enable-auto-tool-choice"),
)
TOOL = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Run a Python script and return what it prints.",
        "parameters": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "The script. Print the result."}
            },
            "required": ["code"],
        },
    },
}
MESSAGES = [
    {
        "role": "system",
        "content": "You solve maths problems. Use the python tool to calculate, "
        "then give the final answer in \\boxed{}.",
    },
    {
        "role": "user",
        "content": "Tom has 12 apples and buys 30 more. How many apples does Tom have now?",
    },
]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for_health(url: str) -> None:
    """Wait until the server listens, which it does a moment after it has said that it is ready."""
    deadline, pause = time.monotonic() + 60, threading.Event()
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            assert time.monotonic() < deadline, "vLLM said that it is ready and doesn't listen"
            pause.wait(0.1)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    python, model = (os.environ.get(f"TREADLE_VLLM_{name}") for name in ("PYTHON", "MODEL"))
    if not python or not model:
        pytest.skip("TREADLE_VLLM_PYTHON and TREADLE_VLLM_MODEL name no vLLM and no model")
    port, plugin = free_port(), str(plugin_path())
    process = subprocess.Popen(
        [
            *(python, "-m", "vllm.entrypoints.openai.api_server", "--model", model, *ENGINE),
            *("--port", str(port), "--tool-parser-plugin", plugin),
            *("--tool-call-parser", "treadle_hermes"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "HF_HUB_OFFLINE": "1",
        },
        start_new_session=True,
    )
    drain = threading.Thread(target=wait_until_ready(process), daemon=True)
    try:
        drain.start()
        wait_for_health(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        stop(process)
        drain.join(timeout=30)
        if process.stdout is not None:
            process.stdout.close()


def wait_until_ready(process: subprocess.Popen[str]) -> Callable[[], object]:
    """Wait for the line that says so; return what takes the lines after it."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if READY in line:
            return process.stdout.read
    process.wait(timeout=30)
    process.stdout.close()
    pytest.fail("vLLM ended before it was ready:\n" + "".join(lines[-30:]))


def stop(process: subprocess.Popen[str]) -> None:
    """End the server and its engine, and take what they still say."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def ask(server: str, **more: Any) -> bytes:
    body = {"model": "small", "messages": MESSAGES, "tools": [TOOL], "max_tokens": 200, **more}
    request = urllib.request.Request(
        f"{server}/chat/completions",
        json.dumps({"temperature": 0, **body}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def whole(server: str, **more: Any) -> dict[str, Any]:
    return json.loads(ask(server, **more))["choices"][0]


def deltas(server: str, **more: Any) -> list[dict[str, Any]]:
    lines = ask(server, stream=True, **more).decode().splitlines()
    chunks = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
    return [json.loads(chunk)["choices"][0] for chunk in chunks]


def functions(message: dict[str, Any]) -> list[dict[str, str]]:
    return [call["function"] for call in message.get("tool_calls") or []]


def test_the_server_answers_with_tool_calls(server):
    choice = whole(server)
    assert choice["finish_reason"] == "tool_calls"
    [function] = functions(choice["message"])
    assert function["name"] == "python"
    assert "print(" in json.loads(function["arguments"])["code"]
    assert not choice["message"]["content"]


def test_the_stream_adds_up_to_the_same_call(server):
    choices = deltas(server)
    assert choices[-1]["finish_reason"] == "tool_calls"
    told = [choice["delta"] for choice in choices]
    assert functions(accumulated(told)) == functions(whole(server)["message"])
    assert sum("id" in call for delta in told for call in delta.get("tool_calls", [])) == 1
    assert sum(bool(delta.get("tool_calls")) for delta in told) > 3


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "python"}}]
)
def test_a_demanded_call_is_written_in_the_format_and_read(server, choice):
    question = [{"role": "user", "content": "Hello"}]  # whatever the model would rather say
    [function] = functions(whole(server, tool_choice=choice, messages=question)["message"])[:1]
    assert function["name"] == "python"


def test_without_a_choice_of_tools_the_text_stays_text(server):
    message = whole(server, tool_choice="none")["message"]
    assert not message.get("tool_calls")
    assert message["content"].startswith("<tool_call>")
    text = accumulated([choice["delta"] for choice in deltas(server, tool_choice="none")])
    assert text["content"] == message["content"]
