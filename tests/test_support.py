"""The scripts that make environments say why when they can't."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent / "support" / "vllm_env.sh"


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere/python"])
def test_an_interpreter_without_vllm_is_named_and_told_apart_from_a_failure(
    tmp_path: Path, python: str
) -> None:
    done = subprocess.run(
        [SCRIPT],
        env=os.environ | {"TREADLE_ENGINES": str(tmp_path), "TREADLE_VLLM_PYTHON": python},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("vLLM for CPUs: ")
    assert python in done.stderr.splitlines()[-1] or "x86-64" in done.stderr
