"""Serve a model with stock vLLM or SGLang, set up for rollouts."""

import sys

from treadle_agent_loop.launch.flags import parse_flags


def main(argv: list[str]) -> int:
    """Parse the flags, import what does the work, run it; returns the exit status."""
    options = parse_flags(argv)
    from treadle_agent_loop.launch.run import run_launcher

    return run_launcher(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
