"""Serve GSM8K rollouts of a tool-calling model with a Python tool to a trainer; see `--help`."""

import argparse
import os
import sys
from pathlib import Path

EPILOG = """\
With no arguments everything needed is started: the trajectory API, a small embedded model,
local sandboxes.
Any setting of the environment or the model server can be given under atroposlib's own names:
  --env.group_size 8  --env.max_agent_turns 5  --openai.timeout 120  (--env.help lists them)
The model server comes from flags, then ATROPOS_SERVER_BASE_URL, ATROPOS_SERVER_MODEL,
ATROPOS_SERVER_API_KEY and ATROPOS_TOKENIZER_NAME in the environment or in .env, then the
embedded model.
examples:
  uv run apps/serve_gsm8k --groups 8 --out runs/first
  uv run apps/serve_gsm8k --model-url http://gpu-host:8000/v1 --tokenizer Qwen/Qwen3-8B
  uv run apps/serve_gsm8k --data problems.jsonl process --groups 100
"""


def parser() -> argparse.ArgumentParser:
    """The flags of the app."""
    flags = argparse.ArgumentParser(
        prog="serve_gsm8k",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = flags.add_argument
    add("mode", nargs="?", choices=["serve", "process", "evaluate"], default="serve",
        help="serve a trainer (default), write groups to files, or evaluate")  # fmt: skip
    add("--groups", type=int, metavar="N", help="stop after N groups (evaluate: N problems)")
    add("--out", type=Path, metavar="DIR", help="where results go (default: runs/MODE-TIME)")
    add("--data", metavar="FILE", help="JSON-lines file or data-set name")
    add("--model-url", metavar="URL", help="OpenAI-compatible server, with its /v1")
    add("--model", metavar="NAME", help="the model's name on that server")
    add("--api-key", metavar="KEY", help="key for that server")
    add("--tokenizer", metavar="NAME", help="tokenizer name or folder, for exact tokens")
    add("--parser", metavar="NAME", help="tool-call parser of the model (default: hermes)")
    add("--api-url", metavar="URL", default="http://127.0.0.1:8000", help="trajectory API")
    add("--wait-for-trainer", action="store_true", help="wait for a real trainer to attach")
    add("--isolation", metavar="LEVEL", default="auto",
        help="least sandbox isolation: auto, bubblewrap, namespaces or process")  # fmt: skip
    add("--seed", type=int, metavar="N", help="seed for problems and sampling")
    add("--config", type=Path, metavar="YAML", help="settings file with env: and openai:")
    add("--plain", action="store_true", help="log lines instead of the live view")
    return flags


def split_dotted(argv: list[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Separate `--env.NAME VALUE` and `--openai.NAME VALUE` (or `=VALUE`) from the other flags."""
    plain: list[str] = []
    dotted: dict[str, dict[str, str]] = {"env": {}, "openai": {}}
    words = iter(argv)
    for word in words:
        space, dot, name = word.removeprefix("--").partition(".")
        if word.startswith("--") and dot and space in dotted:
            name, equals, value = name.partition("=")
            dotted[space][name] = value if equals else next(words, "")
        else:
            plain.append(word)
    return plain, dotted


def main(argv: list[str]) -> int:
    """Parse the flags, import what does the work, run it; returns the exit status."""
    plain, dotted = split_dotted(argv)
    flags = parser().parse_intermixed_args(plain)
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
