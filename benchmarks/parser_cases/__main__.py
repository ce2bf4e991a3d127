"""Score treadle_parsers on recorded cases: calls, content, reasoning and streaming.

uv run python benchmarks/parser_cases CASES.jsonl.gz [--families a,b] [--show] [--json]
    [--confidence high,single]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Score the cases and print a table of the families with the misses, or JSON."""
    options = argparse.ArgumentParser(prog="benchmarks/parser_cases", description=__doc__)
    options.add_argument("cases", type=Path, help="JSON lines, gzipped")
    options.add_argument("--families", default="", help="comma separated; default: all")
    options.add_argument("--confidence", default="high,single", help="comma separated")
    options.add_argument("--show", action="store_true", help="show the text of every miss")
    options.add_argument("--json", action="store_true", help="print rates and misses as JSON")
    args = options.parse_args(argv)
    from judge import judge  # after parsing, so that --help answers at once
    from recorded import load
    from report import as_json, as_text

    families = {name for name in args.families.split(",") if name}
    confidence = frozenset(args.confidence.split(","))
    verdicts = [
        judge(case)
        for case in load(args.cases, confidence)
        if not families or case.family in families
    ]
    if args.json:
        print(json.dumps(as_json(verdicts)))
    else:
        print(as_text(verdicts, show=args.show))
    return 0


if __name__ == "__main__":
    sys.exit(main())
