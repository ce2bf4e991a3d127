"""Time treadle_parsers beside vLLM's and SGLang's own tool-call parsers; print ratios.

uv run python benchmarks/parsers [--quick] [--formats hermes,glm45] [--vllm-python PATH]
    [--sglang-python PATH]
"""

import argparse
import sys
from collections.abc import Sequence

_KILO = 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its report."""
    options = argparse.ArgumentParser(prog="benchmarks/parsers", description=__doc__)
    options.add_argument("--formats", default="", help="names, comma separated; default: all")
    options.add_argument("--quick", action="store_true", help="sizes 1 and 4 KB, growth to 64 KB")
    options.add_argument("--sizes", default="", help="KB, comma separated; default: 1,4,16,64")
    options.add_argument("--limit", type=float, default=10.0, help="seconds for an engine's parse")
    options.add_argument("--vllm-python", metavar="PATH", help="Python of an environment with vLLM")
    options.add_argument("--sglang-python", metavar="PATH", help="the same, with SGLang")
    args = options.parse_args(argv)
    from bench import Plan, run  # after parsing, so that --help answers at once

    sizes = args.sizes or ("1,4" if args.quick else "1,4,16,64")
    plan = Plan(
        formats=[name for name in args.formats.split(",") if name],
        sizes=sorted(int(size) * _KILO for size in sizes.split(",")),
        small=(4 if args.quick else 64) * _KILO,
        large=(64 if args.quick else 1024) * _KILO,
        limit=args.limit,
        pythons={"vLLM": args.vllm_python, "SGLang": args.sglang_python},
    )
    print(run(plan))
    return 0


if __name__ == "__main__":
    sys.exit(main())
