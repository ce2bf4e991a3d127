"""Parse hostile texts of 1 MB in every format and print the slowest; a text that takes a second
fails.

uv run python benchmarks/parsers/hostile.py [--formats hermes,glm45] [--size 1024] [--limit 1.0]
    [--jobs 2] [--full]

Each text is one unit over and over, at the beginning of a message or inside a call: brackets,
quotes, backslashes, white space, whole markers, markers that miss a character, calls that break
off. Each is parsed whole and in pieces of 64 characters; times are of the processor. Parts
of a text speak for the whole where their growth leaves no doubt; `--full` parses everything.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from treadle_parsers import CallStatus, Format, Parser, Span, ToolCall, get_parser, list_parsers

COUNTER = "k777"
PIECE = 64
"""Characters of a piece of the streamed text."""
SURE = 0.7
"""The part of the limit below which an estimate is believed."""

UNITS = (
    *("<", ">", "{", "[", "(", "]", '"', "'", "\\", "`", "&", "=", ":", ",", " ", "\n", "\r"),
    *('{"', '{ "', '{"name"', '{"name":', '{"name": ', '{"name": "f", ', '{"a":', '{"a": {'),
    *('\\"', '"\\', '",', '":', '"}', "'\\", '"""', "[[{", "[{", '[{"name":', "{}", "}{", "[]"),
    *("a(", "[a(", "f(x=", "[f(x=1), ", "f(x=1)", "1", "1,", "-", "1e", "a=", "x", "é"),
    *("&amp;", "&amp", "&#", "<![CDATA[", "]]>", "</", "<a>", "<|", "|>", "<think>", "</think>"),
)
"""What is repeated in every format."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {
                    "s": {"type": "string"},
                    "a": {"type": "array", "items": {"type": "integer"}},
                },
            },
        },
    }
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A text: `before`, then `unit` over and over."""

    before: str
    unit: str

    def text(self, size: int) -> str:
        """Return about `size` characters; every repeat has its own number where the unit has
        `COUNTER`.
        """
        repeats = size // len(self.unit)
        if COUNTER not in self.unit:
            return self.before + self.unit * repeats
        return self.before + "".join(
            self.unit.replace(COUNTER, str(1000 + number)) for number in range(repeats)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One text's seconds."""

    seconds: float
    format: str
    how: str
    text: Hostile


def markers(form: Format) -> list[str]:
    """Return every literal that the format gives a meaning to."""
    blocks = [literal for block in form.thinking for literal in (block.open, block.close)]
    bodies = [literal for body in form.bodies for literal in (*body.openers, *body.strays)]
    return [*dict.fromkeys(literal for literal in (*blocks, *bodies, *form.framing) if literal)]


def rendered(parser: Parser, arguments: dict[str, object]) -> str:
    """Return one call as the model would write it."""
    call = ToolCall(
        name="f",
        arguments=json.dumps(arguments),
        id="functions.f:0" if parser.name == "kimi_k2" else "a1B2c3D4e",
        index=0,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )
    return parser.render([call])


def hostile_texts(parser: Parser) -> Iterator[Hostile]:
    """Return the texts for one format, each once."""
    known = markers(parser.format)
    near = [marker[:-1] for marker in known if len(marker) > 1]
    half = [marker[: len(marker) // 2] for marker in known if len(marker) > 3]
    spaced = [f"{marker} " for marker in known]
    braced = [marker + after for marker in known for after in ('{"', "[", '{"name": "f"', "f", '"')]
    units = [*dict.fromkeys([*UNITS, *known, *near, *half, *spaced, *braced])]
    string = rendered(parser, {"s": "QQQ"})
    array = rendered(parser, {"a": [777, 777]})
    in_string, in_array = string[: string.index("QQQ")], array[: array.index("777")]
    keyed = rendered(parser, {COUNTER: "x"})
    calls = (string, array, in_string, in_array, string[:-1], array[:-2], keyed)
    calls = (*calls, string.replace("6124c78e", COUNTER))
    units += [call for call in calls if call]
    openers = [opener for body in parser.format.bodies for opener in body.openers]
    places = dict.fromkeys(["", *openers, in_string, in_array, in_string + "{", in_array + "["])
    seen: set[tuple[str, str]] = set()
    for before in places:
        for unit in units if before in ("", in_string, in_array) else UNITS:
            if (before, unit) not in seen:
                seen.add((before, unit))
                yield Hostile(before=before, unit=unit)


def parse_whole(parser: Parser, text: str) -> None:
    """Parse in one call."""
    parser.parse(text, TOOLS)


def parse_pieces(parser: Parser, text: str) -> None:
    """Parse as a stream."""
    stream = parser.stream(TOOLS)
    for at in range(0, len(text), PIECE):
        stream.feed(text[at : at + PIECE])
    stream.close()


def timed(run: Callable[[], object]) -> float:
    """Return the processor time of `run`."""
    start = time.process_time()
    run()
    return time.process_time() - start


def seconds(parse: Callable[[str], object], text: Hostile, size: int, limit: float) -> float:
    """Return the seconds that `size` characters of `text` take: the best of three runs, or the
    first that is below the limit.
    """
    written = text.text(size)
    best = float("inf")
    for _ in range(3):
        best = min(best, timed(partial(parse, written)))
        if best < limit:
            break
    return best


def estimate(
    parse: Callable[[str], object], text: Hostile, size: int, limit: float
) -> float | None:
    """Return the seconds that `size` characters must take, from parts of them; None when that
    isn't sure.

    A part that is quick enough even if time grows with the square of the size is enough. Else time
    is taken to grow on as it does from one part to the next, with room for growth that doesn't show
    yet: the smaller the parts, the more.
    """
    last = 0.0
    for part, room in ((64, 0.0), (16, 0.5), (4, SURE)):
        took = timed(partial(parse, text.text(size // part)))
        if took * part * part < limit:
            return took * part
        steps = math.log(part, 4)
        expected = took * max(took / last, 4) ** steps if last else limit
        if expected < limit * room:
            return expected
        if last and expected > limit:
            break
        last = took
    return None


def measure(name: str, size: int, limit: float, *, full: bool) -> list[Result]:
    """Time every text of the format `name`, whole and in pieces."""
    parser = get_parser(name)
    results: list[Result] = []
    for hostile in hostile_texts(parser):
        for how, parse in (("whole", parse_whole), ("pieces", parse_pieces)):
            run = partial(parse, parser)
            took = None if full else estimate(run, hostile, size, limit)
            if took is None:
                took = seconds(run, hostile, size, limit)
            results.append(Result(seconds=took, format=name, how=how, text=hostile))
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each format and each text past the limit; 1 when there is one."""
    options = argparse.ArgumentParser(prog="hostile.py", description=__doc__)
    options.add_argument("--formats", default="", help="names, comma separated; default: all")
    options.add_argument("--size", type=int, default=1024, help="KB of each text")
    options.add_argument("--limit", type=float, default=1.0, help="seconds a text may take")
    options.add_argument("--jobs", type=int, default=1, help="formats at a time")
    options.add_argument("--full", action="store_true", help="parse every text in full")
    args = options.parse_args(argv)
    wanted = [name for name in args.formats.split(",") if name] or list_parsers()
    names = [*dict.fromkeys(map(_name, wanted))]
    work = partial(measure, size=args.size * 1024, limit=args.limit, full=args.full)
    failed = 0
    with ProcessPoolExecutor(args.jobs) as pool:
        for results in pool.map(work, names):
            failed += report(results, args.limit)
    print(f"{failed} texts took {args.limit:g} s or more")
    return 1 if failed else 0


def report(results: Sequence[Result], limit: float) -> int:
    """Print the line of one format and the texts past the limit; return how many these are."""
    over = sorted((one for one in results if one.seconds >= limit), key=lambda one: -one.seconds)
    worst = max(results, key=lambda one: one.seconds)
    print(f"{worst.format}: {len(results)} runs, {len(over)} over; worst {_line(worst)}")
    for one in over:
        print(f"  FAIL {_line(one)}")
    sys.stdout.flush()
    return len(over)


def _name(alias: str) -> str:
    return get_parser(alias).name


def _line(result: Result) -> str:
    text = result.text
    return f"{result.seconds:.3f} s {result.how} {text.before[-60:]!r} + {text.unit[:60]!r} * n"


if __name__ == "__main__":
    sys.exit(main())
