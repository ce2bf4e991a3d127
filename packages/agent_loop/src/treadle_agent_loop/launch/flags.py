"""The launcher's command line; imports nothing heavy, so that `--help` answers at once."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EPILOG = """\
The engine needs an environment of its own, since its pins fit no other:
  python3 -m venv engines/vllm && engines/vllm/bin/pip install vllm
Flags after -- go to the engine as they are. Examples:
  uv run apps/serve_model Qwen/Qwen3-8B --engine-python engines/vllm/bin/python
  uv run apps/serve_model ./checkpoint --engine sglang --port 30000
  uv run apps/serve_model ./checkpoint -- --max-model-len 8192 --tensor-parallel-size 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """What to serve, and how."""

    model: str
    """A folder or a hub name."""
    engine: str = "vllm"
    engine_python: Path | None = None
    """Interpreter of the engine's environment; None looks for the engine on PATH."""
    name: str | None = None
    """What the model is called on the server; None takes the folder's name or the hub name."""
    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any free one."""
    tool_parser: str = "auto"
    """A parser's name, `auto` (by the chat template), or `none`."""
    plugin: bool = False
    """Whether Treadle's own parsers read the calls, as a plugin of vLLM."""
    log: Path | None = None
    timeout: float = 1800.0
    """Seconds until the engine must be ready."""
    more: tuple[str, ...] = ()
    """Flags for the engine as they are."""


def parse_flags(argv: Sequence[str]) -> LaunchOptions:
    """Parse a command line; wrong usage exits with status 2."""
    own, _, more = _split(argv)
    values = vars(_flags().parse_args(own))
    return LaunchOptions(**values, more=tuple(more))


def _split(argv: Sequence[str]) -> tuple[list[str], str, list[str]]:
    words = list(argv)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], "--", words[place + 1 :]


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="serve_model",
        description="Start stock vLLM or SGLang with the flags that rollouts need.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = flags.add_argument
    add("model", metavar="MODEL", help="folder or hub name of the model")
    add("--engine", choices=("vllm", "sglang"), default="vllm", help="default: %(default)s")
    add("--engine-python", type=Path, metavar="PATH",
        help="interpreter of the engine's environment (default: found by PATH)")  # fmt: skip
    add("--name", metavar="NAME", help="the model's name on the server (default: from MODEL)")
    add("--host", default="127.0.0.1", metavar="HOST", help="default: %(default)s")
    add("--port", type=int, default=8000, metavar="PORT",
        help="default: %(default)s; 0 takes any free one")  # fmt: skip
    add("--tool-parser", default="auto", metavar="NAME",
        help="the engine's tool-call parser, auto (by the chat template) or none")  # fmt: skip
    add("--plugin", action="store_true",
        help="vLLM: read calls with the treadle-parsers in its environment")  # fmt: skip
    add("--log", type=Path, metavar="FILE", help="the engine's output (default: a temporary file)")
    add("--timeout", type=float, default=1800.0, metavar="SECONDS",
        help="how long the engine may take to be ready (default: %(default)g)")  # fmt: skip
    return flags
