"""Run thousands of rollouts at once and tell how much memory they take.

uv run python benchmarks/agent_loop/many.py [--rollouts 500,1000,2000] [--wire chat]

Every size runs in a process of its own against a mock server of its own. All requests are let on
the wire at once, so each rollout has a connection: the limit of open files is raised as far as the
system allows, and a size that doesn't fit under it is refused before it starts.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_RESERVE = 64
"""Open files for everything but connections."""
_LIMIT_MB = 2048.0
_CLIENT = Path(__file__).with_name("client_treadle.py")


def main(argv: Sequence[str] | None = None) -> int:
    """Run all sizes and print a table; the exit code tells whether memory stays in bounds."""
    options = argparse.ArgumentParser(prog="many.py", description=__doc__)
    options.add_argument("--rollouts", default="500,1000,2000", help="sizes, comma separated")
    options.add_argument("--turns", type=int, default=8, help="model answers each; default: 8")
    options.add_argument("--latency", type=float, default=0.05, help="seconds; default: 0.05")
    options.add_argument("--wire", default="chat,tokens", help="default: chat,tokens")
    args = options.parse_args(argv)
    sizes = sorted(int(size) for size in args.rollouts.split(","))
    allowed = raise_file_limit()
    if sizes[-1] + _RESERVE > allowed:
        print(
            f"{sizes[-1]} rollouts need {sizes[-1] + _RESERVE} open files and the system allows "
            f"{allowed}: raise it (ulimit -Hn), or give the client a smaller concurrency",
            file=sys.stderr,
        )
        return 2
    print("| wire | rollouts | turns a second | CPU ms a turn | lag max ms | peak MB | KB each |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    largest = 0.0
    for wire in args.wire.split(","):
        for size in sizes:
            told = run(wire, size, args.turns, args.latency)
            largest = max(largest, told["rss_mb"])
            each = told["rss_grown_mb"] / size * 1024
            print(
                f"| {wire} | {size} | {size * args.turns / told['wall_s']:.0f} "
                f"| {told['cpu_ms']:.2f} | {told['lag_max_ms']:.0f} | {told['rss_mb']:.0f} "
                f"| {each:.0f} |",
                flush=True,
            )
    return 0 if largest < _LIMIT_MB else 1


def run(wire: str, rollouts: int, turns: int, latency: float) -> dict[str, Any]:
    """Run one size in a process of its own; returns its figures."""
    from bench import mock_server, write_tokenizer

    with tempfile.TemporaryDirectory(prefix="treadle-bench-") as folder:
        script = write_tokenizer(Path(folder))
        with mock_server({**script, "latency": latency, "turns": turns}) as url:
            work = {
                "base_url": url,
                "rollouts": rollouts,
                "turns": turns,
                "mode": wire,
                "tokenizer": folder,
            }
            done = subprocess.run(
                [sys.executable, str(_CLIENT), json.dumps(work)],
                stdout=subprocess.PIPE,
                text=True,
                timeout=600,
                check=True,
            )
    return json.loads(done.stdout.strip().splitlines()[-1])


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one; returns what holds now."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


if __name__ == "__main__":
    sys.exit(main())
