"""Serve GSM8K rollouts of a tool-calling model with a Python tool to a trainer."""

import os
import sys

from treadle_envs.flags import app_flags, parse_flags


def main(argv: list[str]) -> int:
    """Parse the flags, import what does the work, run it; returns the exit status."""
    flags, dotted = parse_flags(app_flags("serve_gsm8k", __doc__ or ""), argv)
    # transformers tells everybody who lacks PyTorch; tokenizers don't need it.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from treadle_embedded import bundle_path
    from treadle_embedded.problems import write_split
    from treadle_envs.gsm8k import Gsm8kEnv
    from treadle_envs.serving import EmbeddedDefault, run_app

    command = (sys.executable, "-m", "treadle_embedded", "serve", "--port=0", "--stop-with-stdin")
    embedded = EmbeddedDefault(
        server_command=command, tokenizer=bundle_path(), write_problems=write_split
    )
    return run_app(Gsm8kEnv, flags, dotted, embedded=embedded)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
