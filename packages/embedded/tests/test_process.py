import asyncio
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from treadle_embedded import EmbeddedServer, ServerStartError

SERVE = [sys.executable, "-m", "treadle_embedded", "serve"]
BODY = {"model": "treadle-embedded", "prompt": "a", "max_tokens": 2000, "temperature": 100, "n": 16}


def start(*flags, **options):
    process = subprocess.Popen(
        [*SERVE, "--port", "0", *flags], stdout=subprocess.PIPE, text=True, **options
    )
    line = process.stdout.readline()
    assert line.startswith("listening on http://127.0.0.1:")
    return process, line.removeprefix("listening on ").strip()


@pytest.mark.parametrize("wanted", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_busy_server_within_a_second(wanted):
    process, url = start()
    with process, httpx.Client(base_url=url, timeout=30) as http:
        body = BODY | {"stream": True}
        with http.stream("POST", "/v1/completions", json=body) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("data: {")
            began = time.monotonic()
            process.send_signal(wanted)
            rest = [line for line in lines if line]
            process.wait(timeout=5)
        assert time.monotonic() - began < 1.0
        assert '"error"' in rest[-2]
        assert rest[-1] == "data: [DONE]"


def test_a_taken_port_ends_in_one_line_and_exit_code_1():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run([*SERVE, "--port", str(port)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "another --port" in line


def test_a_folder_that_holds_no_model_ends_in_one_line(tmp_path):
    command = [*SERVE, "--port", "0", "--bundle", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "tokenizer.json" in line


def test_the_async_server_starts_answers_and_stops():
    async def run():
        async with EmbeddedServer() as server, httpx.AsyncClient() as http:
            assert server.base_url == f"{server.url}/v1"
            assert (await http.get(f"{server.url}/health")).status_code == 200
            pid = server.pid
        await server.aclose()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(run())


def test_a_taken_port_is_a_start_error():
    async def run():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            server = EmbeddedServer(port=taken.getsockname()[1])
            with pytest.raises(ServerStartError, match="another --port"):
                await server.start()

    asyncio.run(run())


def test_the_server_dies_with_its_parent():
    script = (
        "import asyncio\n"
        "from treadle_embedded import EmbeddedServer\n"
        "async def main():\n"
        "    async with EmbeddedServer() as server:\n"
        "        print(server.pid, server.url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        _, url = parent.stdout.readline().split()
        port = int(url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as watched:
            watched.settimeout(10)
            parent.kill()
            assert watched.recv(1) == b""  # the server closed its side


def test_the_server_stops_when_its_stdin_ends():
    ended = subprocess.run(
        [*SERVE, "--port", "0", "--stop-with-stdin"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0
    assert ended.stderr == ""


def test_help_needs_no_model():
    shown = subprocess.run([*SERVE, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert "--no-token-features" in shown.stdout
