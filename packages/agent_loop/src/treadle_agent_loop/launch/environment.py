"""Finding the interpreter of an engine's environment, and what is installed there."""

import shutil
import subprocess
from pathlib import Path

from treadle_agent_loop.errors import LaunchError
from treadle_agent_loop.launch.command import EngineKind

_HAS = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"


def find_python(kind: EngineKind, given: Path | None, *, path: str | None = None) -> Path:
    """Return the interpreter that has the engine: the one given, or that of the engine on PATH.

    `path` is looked through instead of PATH.

    Raises:
        LaunchError: there is none, or it hasn't the engine.
    """
    python = _beside(kind, path) if given is None else given.expanduser().absolute()
    remedy = f"pip install {kind} in an environment of its own, and give --engine-python"
    if python is None:
        raise LaunchError(f"{kind.label} isn't on PATH: {remedy}")
    try:
        code = subprocess.run([python, "-c", _HAS, kind], check=False, timeout=60).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchError(f"{python} can't be run as a Python interpreter: {error}") from error
    if code != 0:
        raise LaunchError(f"{python} has no {kind.label}: {remedy}")
    return python


def find_plugin(python: Path) -> Path:
    """Return the plugin for vLLM of the `treadle-parsers` in the engine's environment.

    Raises:
        LaunchError: it isn't installed there.
    """
    command = [python, "-m", "treadle_parsers.shims.vllm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise LaunchError(
            f"--plugin needs treadle-parsers in the engine's environment: {python} -m pip install "
            "treadle-parsers"
        )
    return Path(done.stdout.strip())


def _beside(kind: EngineKind, path: str | None) -> Path | None:
    script = shutil.which(kind, path=path)
    if script is None:
        return None
    python = Path(script).resolve().parent / "python"
    return python if python.exists() else None
