"""Serve a model with stock vLLM or SGLang, set up for rollouts."""

import argparse
import sys
from pathlib import Path

_EPILOG = """\
The engine needs an environment of its own, since its pins fit no other:
  python3 -m venv engines/vllm && engines/vllm/bin/pip install vllm
Flags after -- go to the engine as they are. Examples:
  uv run apps/serve_model Qwen/Qwen3-8B --engine-python engines/vllm/bin/python
  uv run apps/serve_model ./checkpoint --engine sglang --port 30000
  uv run apps/serve_model ./checkpoint -- --max-model-len 8192 --tensor-parallel-size 2
"""


def main(argv: list[str]) -> int:
    """Parse the flags, import what does the work, run it; returns the exit status."""
    end = argv.index("--") if "--" in argv else len(argv)
    flags = vars(_flags().parse_args(argv[:end]))
    from treadle_agent_loop.launch import LaunchOptions, run_launcher

    return run_launcher(LaunchOptions(**flags, more=tuple(argv[end + 1 :])))


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
