"""The flags of an environment's app; imports nothing heavy, so that `--help` answers at once.

`--env.NAME VALUE` and `--openai.NAME VALUE` are atroposlib's names for any setting of the
environment and the model server; they are checked later, against the settings themselves.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

_EPILOG = """\
With no arguments everything needed is started: the trajectory API, a small embedded model,
local sandboxes. Any setting can be given under atroposlib's own name:
  --env.group_size 8  --env.max_agent_turns 5  --openai.timeout 120
The model server comes from flags, then ATROPOS_SERVER_BASE_URL, ATROPOS_SERVER_MODEL,
ATROPOS_SERVER_API_KEY and ATROPOS_TOKENIZER_NAME in the environment or in .env, then the
embedded model.
examples:
  uv run apps/{app} --groups 8 --out runs/first
  uv run apps/{app} --model-url http://gpu-host:8000/v1 --tokenizer Qwen/Qwen3-8B
  uv run apps/{app} --data problems.jsonl process --groups 100
"""

Dotted = dict[str, dict[str, str]]
"""Settings by space (`env`, `openai`) and name."""


def app_flags(app: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of an app's plain flags."""
    flags = argparse.ArgumentParser(
        prog=app,
        description=description,
        epilog=_EPILOG.format(app=app),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = flags.add_argument
    add("mode", nargs="?", default="serve", metavar="serve|process|evaluate",
        help="feed a trainer (default), write groups to files, or evaluate")  # fmt: skip
    add("--groups", type=int, metavar="N", help="stop after N groups (evaluate: N problems)")
    add("--out", type=Path, metavar="DIR", help="where results go (default: runs/MODE-TIME)")
    add("--data", metavar="FILE", help="JSON-lines file or data-set name")
    add("--model-url", metavar="URL", help="OpenAI-compatible server, with its /v1")
    add("--model", metavar="NAME", help="the model's name on that server")
    add("--api-key", metavar="KEY", help="key for that server")
    add("--tokenizer", metavar="NAME", help="tokenizer name or folder, for exact tokens")
    add("--parser", metavar="NAME", help="tool-call parser of the model (default: hermes)")
    add("--api-url", metavar="URL", default="http://127.0.0.1:8000",
        help="trajectory API (default: %(default)s; started when nothing is there)")  # fmt: skip
    add("--wait-for-trainer", action="store_true",
        help="never take the groups here: wait for a trainer to attach")  # fmt: skip
    add("--isolation", metavar="LEVEL", default="auto",
        help="least sandbox isolation: auto, bubblewrap, namespaces or process")  # fmt: skip
    add("--seed", type=int, metavar="N", help="seed of problem order and sampling")
    add("--config", type=Path, metavar="YAML", help="settings file with env: and openai: maps")
    add("--plain", action="store_true", help="log lines instead of the live view")
    return flags


def parse_flags(
    parser: argparse.ArgumentParser, argv: Sequence[str]
) -> tuple[argparse.Namespace, Dotted]:
    """Parse an app's command line; wrong usage exits with status 2."""
    plain, dotted = _split_dotted(argv)
    flags, unknown = parser.parse_known_intermixed_args(plain)
    if unknown:
        parser.error(f"unknown flag {unknown[0]} (--help lists them)")
    return flags, dotted


def _split_dotted(argv: Sequence[str]) -> tuple[list[str], Dotted]:
    """Separate `--env.NAME VALUE` and `--openai.NAME VALUE` (or `=VALUE`) from the other flags."""
    plain: list[str] = []
    dotted: Dotted = {"env": {}, "openai": {}}
    words = iter(argv)
    for word in words:
        space, dot, name = word.removeprefix("--").partition(".")
        if word.startswith("--") and dot and space in dotted:
            name, equals, value = name.partition("=")
            dotted[space][name] = value if equals else next(words, "")
        else:
            plain.append(word)
    return plain, dotted
