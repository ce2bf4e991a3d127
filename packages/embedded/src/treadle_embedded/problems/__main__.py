"""Write generated problems: `python -m treadle_embedded.problems --count N --seed S --out FILE`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from treadle_embedded.problems import Split, generate, write_jsonl


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m treadle_embedded.problems", description=__doc__
    )
    parser.add_argument("--count", type=int, default=1000, help="how many problems (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same problems")
    parser.add_argument(
        "--split",
        choices=[split.value for split in Split],
        default=Split.HELD_OUT.value,
        help="held_out: never seen in training (default); train: what the model was trained on",
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON-lines file to write")
    options = parser.parse_args(argv)
    problems = generate(options.count, options.seed, split=Split(options.split))
    try:
        write_jsonl(problems, options.out)
    except OSError as error:
        print(f"can't write {options.out}: {error.strerror}; choose another --out", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
