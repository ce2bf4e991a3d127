"""Measure how treadle_parsers alone scales; print a table and mark what misses its gate.

uv run python benchmarks/parsers/linear.py [--formats hermes,glm45] [--repeats 3] [--quick]

For every format, with a string of code and with an array of numbers as the argument: the log-log
growth of total streaming time from 64 KB to 1 MB in pieces of 4 characters, microseconds a piece
in the middle tenth and the last tenth of 1 MB, and whole-text megabytes a second. Times are of
the processor and the best of the repeats, so that other work on the machine distorts little.
"""

import argparse
import gc
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cases import Case, Shape, all_formats, make_case

from treadle_parsers import Format, get_parser
from treadle_parsers.bodies.nested_calls import NestedCalls
from treadle_parsers.bodies.suffixed_calls import SuffixedCalls
from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.channels import Channels

GROWTH, DELTA = 1.1, 5.0
"""The highest exponent, and the most microseconds a piece."""
JSON_SPEED, XML_SPEED = 20.0, 5.0
"""The fewest whole-text megabytes a second, by the notation of the arguments."""
TENTHS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured for one format and shape."""

    exponent: float
    middle: float
    end: float
    speed: float


def stream_tenths(case: Case, pieces: Sequence[str]) -> list[float]:
    """Return the seconds of each tenth of the stream, and as an eleventh those of closing it."""
    stream = get_parser(case.format).stream(case.tools)
    each = len(pieces) // TENTHS
    times: list[float] = []
    gc.collect()
    for tenth in range(TENTHS):
        last = len(pieces) if tenth == TENTHS - 1 else (tenth + 1) * each
        part = pieces[tenth * each : last]
        start = time.process_time()
        for piece in part:
            stream.feed(piece)
        times.append(time.process_time() - start)
    start = time.process_time()
    stream.close()
    times.append(time.process_time() - start)
    return times


def best_tenths(case: Case, repeats: int) -> list[float]:
    """Return each tenth's best time."""
    pieces = [case.text[at : at + 4] for at in range(0, len(case.text), 4)]
    runs = [stream_tenths(case, pieces) for _ in range(repeats)]
    return [min(run[tenth] for run in runs) for tenth in range(TENTHS + 1)]


def measure(form: Format, shape: Shape, *, small: int, large: int, repeats: int) -> Figures:
    """Measure one format with one kind of argument."""
    short, long = make_case(form, shape, small), make_case(form, shape, large)
    few, many = best_tenths(short, repeats + 2), best_tenths(long, repeats)
    parser = get_parser(form.name)
    whole: list[float] = []
    for _ in range(repeats):
        start = time.process_time()
        parser.parse(long.text, long.tools)
        whole.append(time.process_time() - start)
    tenth = len(long.text) / 4 / TENTHS
    return Figures(
        exponent=math.log(sum(many) / sum(few)) / math.log(len(long.text) / len(short.text)),
        middle=many[TENTHS // 2] / tenth * 1e6,
        end=many[TENTHS - 1] / tenth * 1e6,
        speed=len(long.text) / 1e6 / min(whole),
    )


def speed_gate(form: Format) -> float:
    """Return the fewest megabytes a second that the format may have."""
    body = form.bodies[0]
    inner = body.tool if isinstance(body, Channels) else body
    xml = isinstance(inner, TaggedCalls | NestedCalls | SuffixedCalls)
    return XML_SPEED if xml else JSON_SPEED


def misses(figures: Figures, gate: float) -> list[str]:
    """Return the gates that `figures` misses."""
    found = {
        "growth": figures.exponent > GROWTH,
        "middle": figures.middle > DELTA,
        "end": figures.end > DELTA,
        "MB/s": figures.speed < gate,
    }
    return [name for name, missed in found.items() if missed]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a gate is missed."""
    options = argparse.ArgumentParser(prog="linear.py", description=__doc__)
    options.add_argument("--formats", default="", help="names, comma separated; default: all")
    options.add_argument("--repeats", type=int, default=3, help="runs of which the best counts")
    options.add_argument("--quick", action="store_true", help="16 KB to 256 KB")
    args = options.parse_args(argv)
    wanted = {get_parser(name).name for name in args.formats.split(",") if name}
    small, large = (16, 256) if args.quick else (64, 1024)
    failed = 0
    print("| format | argument | growth | µs/delta middle | µs/delta end | whole MB/s | missed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for form in all_formats():
        if wanted and form.name not in wanted:
            continue
        for shape in Shape:
            one = measure(form, shape, small=small * 1024, large=large * 1024, repeats=args.repeats)
            missed = misses(one, speed_gate(form))
            failed += bool(missed)
            print(
                f"| {form.name} | {shape} | {one.exponent:.2f} | {one.middle:.2f} | "
                f"{one.end:.2f} | {one.speed:.0f} | {', '.join(missed)} |",
                flush=True,
            )
    print(f"{failed} rows miss a gate")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
