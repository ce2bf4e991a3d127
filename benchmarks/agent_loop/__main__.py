"""Measure what the agent loop costs a turn, beside bare aiohttp and other frameworks.

uv run python benchmarks/agent_loop [--quick] [--repeats 3] [--peers DIR]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, print its table, and tell by the exit code whether the limits hold."""
    options = argparse.ArgumentParser(prog="benchmarks/agent_loop", description=__doc__)
    options.add_argument("--rollouts", type=int, default=256, help="at once; default: 256")
    options.add_argument("--turns", type=int, default=8, help="model answers each; default: 8")
    options.add_argument("--latency", type=float, default=0.05, help="seconds; default: 0.05")
    options.add_argument("--repeats", type=int, default=3, help="runs of each client; default: 3")
    options.add_argument("--quick", action="store_true", help="32 rollouts, once, no limits")
    options.add_argument(
        "--peers",
        type=Path,
        metavar="DIR",
        help="run other frameworks too, in environments made under DIR",
    )
    args = options.parse_args(argv)
    from bench import Plan, missed, run, table  # after parsing, so that --help answers at once

    plan = Plan(
        rollouts=32 if args.quick else args.rollouts,
        turns=args.turns,
        latency=args.latency,
        repeats=1 if args.quick else args.repeats,
        peers=args.peers,
    )
    rows = run(plan)
    print(table(rows, plan))
    late = [] if args.quick else missed(rows)
    for line in late:
        print(f"over the limit: {line}", file=sys.stderr)
    return 1 if late or any(row.failure for row in rows if row.name == "treadle") else 0


if __name__ == "__main__":
    sys.exit(main())
