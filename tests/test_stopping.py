"""Stopping the app: within seconds, with nothing left behind."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

StartApp = Callable[..., "subprocess.Popen[str]"]


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def command_line(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


def marked_processes(mark: str) -> list[int]:
    """Processes whose environment holds the mark: the app and everything it started with it."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark.encode() in environ:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    "sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name
)
def test_a_stopped_run_leaves_no_process_port_or_temp_folder(
    start_app: StartApp, tmp_path: Path, free_port: int, sent: signal.Signals
) -> None:
    out, temp = tmp_path / "out", tmp_path / "temp"
    temp.mkdir()
    mark = f"TREADLE_TEST_MARK={tmp_path}"
    process = start_app(
        "--out", str(out), env={"TMPDIR": str(temp), "TREADLE_TEST_MARK": str(tmp_path)}
    )
    rollouts = out / "rollouts.jsonl"
    wait_until(
        lambda: rollouts.exists() and rollouts.stat().st_size > 0, seconds=90, what="first rollout"
    )
    assert len(marked_processes(mark)) >= 3
    process.send_signal(sent)
    process.wait(timeout=10)
    wait_until(lambda: not marked_processes(mark), seconds=5, what="children end")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", free_port))
    if sent is not signal.SIGKILL:  # a killed process can't remove its folders
        assert list(temp.iterdir()) == []
        assert "Traceback" not in process.stderr.read()  # type: ignore[union-attr]
        assert process.returncode == 0
