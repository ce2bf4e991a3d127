"""The parser benchmark runs without the engines it compares with."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_parser_benchmark_prints_a_row_for_each_format_it_is_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "parsers"), "--quick", "--formats", "hermes"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows] == ["format", "---", "hermes"]
    assert rows[2].split("|")[2].strip() == "yes"
    assert "vLLM not installed; SGLang not installed" in done.stdout
