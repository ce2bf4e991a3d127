"""inspect_ai's own self-check passes over a backend of ours, in an environment of inspect_ai's."""

import os
import re
import subprocess
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent / "support"
SOURCES = Path(__file__).parent.parent / "packages" / "sandbox" / "src"
CHECKS_AT_LEAST = 39


@pytest.mark.peers
def test_the_self_check_of_inspect_passes(tmp_path):
    python = os.environ.get("TREADLE_INSPECT_PYTHON")
    if not python:
        pytest.skip("TREADLE_INSPECT_PYTHON isn't set: see tests/support/inspect_env.sh")
    checks = SUPPORT / "inspect_self_check.py"
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-rfEsx", "-c", os.devnull, "--rootdir", tmp_path, checks],
        env={**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= CHECKS_AT_LEAST, done.stdout
    assert "skipped" not in done.stdout, done.stdout
