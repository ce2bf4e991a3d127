"""The benchmark of the agent loop runs without the frameworks it compares with."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _run(*command: str) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=240, check=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_benchmark_prints_a_row_for_each_client_and_wire() -> None:
    rows = _run(str(ROOT / "benchmarks" / "agent_loop"), "--quick")[2:]
    assert [(row[0].split()[0], row[1]) for row in rows] == [
        ("treadle", "chat"),
        ("aiohttp", "chat"),
        ("treadle", "tokens"),
        ("aiohttp", "tokens"),
    ]
    assert [row[3] for row in rows if row[0].startswith("treadle")] == ["1.00", "1.00"]


def test_many_rollouts_at_once_stay_in_bounds() -> None:
    script = str(ROOT / "benchmarks" / "agent_loop" / "many.py")
    rows = _run(script, "--rollouts", "50,100", "--wire", "chat")[2:]
    assert [row[:2] for row in rows] == [["chat", "50"], ["chat", "100"]]
    assert all(float(row[5]) < 1024 for row in rows)
