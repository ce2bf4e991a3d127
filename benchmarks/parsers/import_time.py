"""Time what importing costs: fresh processes, in turns, so that other work weighs on all alike.

uv run python benchmarks/parsers/import_time.py [--runs 20] [--limit 50]

Prints the median, least and most milliseconds of whole processes that do nothing, import the
package, take `get_parser` from it, and parse a call; ends with 1 when even the quickest that
takes `get_parser` is over the limit. Modules are compiled before, in a folder of their own, as they
are once a package has been used.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

CALL = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
CODE = {
    "nothing": "pass",
    "import treadle_parsers": "import treadle_parsers",
    "from treadle_parsers import get_parser": "from treadle_parsers import get_parser",
    "one call parsed": f"import treadle_parsers as t; t.get_parser('hermes').parse({CALL!r})",
}
JUDGED = "from treadle_parsers import get_parser"


def milliseconds(code: str, environment: Mapping[str, str]) -> float:
    """Return how long a fresh interpreter takes for `code`, from its start to its end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return (time.perf_counter() - start) * 1e3


def measure(runs: int, cache: str) -> list[dict[str, float]]:
    """Return the milliseconds of each kind of process, turn by turn."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for code in CODE.values():
        milliseconds(code, environment)
    return [
        {what: milliseconds(code, environment) for what, code in CODE.items()} for _ in range(runs)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 when the import takes too long."""
    options = argparse.ArgumentParser(prog="import_time.py", description=__doc__)
    options.add_argument("--runs", type=int, default=20, help="processes of each kind")
    options.add_argument("--limit", type=float, default=50.0, help="most milliseconds")
    args = options.parse_args(argv)
    with tempfile.TemporaryDirectory() as cache:
        turns = measure(args.runs, cache)
    print("| process | median ms | least | most | median over nothing |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for what in CODE:
        took = [turn[what] for turn in turns]
        more = statistics.median(turn[what] - turn["nothing"] for turn in turns)
        middle = statistics.median(took)
        print(f"| {what} | {middle:.0f} | {min(took):.0f} | {max(took):.0f} | {more:.0f} |")
    return 1 if min(turn[JUDGED] for turn in turns) > args.limit else 0


if __name__ == "__main__":
    sys.exit(main())
