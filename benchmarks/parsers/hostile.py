"""Parse hostile texts of 1 MB in every format and print the slowest; a text that takes a second
fails.

uv run python benchmarks/parsers/hostile.py [--formats hermes,glm45] [--size 1024] [--limit 1.0]

Each text is one unit over and over, at the beginning of a message or inside a call: brackets,
quotes, backslashes, white space, whole markers, markers that miss a character, calls that break
off. Each is parsed whole and in pieces of 64 characters; times are of the processor.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from treadle_parsers import CallStatus, Format, Parser, Span, ToolCall, get_parser, list_parsers

COUNTER = "k777"
PIECE = 64
"""Characters of a piece of the streamed text."""

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


def best_of(run: Callable[[], object], enough: float) -> float:
    """Return the processor time of `run`: the best of three, or the first below `enough`."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
        if best < enough:
            break
    return best


def seconds(parse: Callable[[str], object], text: str, limit: float) -> float:
    """Return the seconds that `text` takes.

    A part of the text that is quick enough even if time grew with the square of the size speaks
    for the whole; its time is then scaled.
    """
    for parts in (16, 4):
        took = best_of(partial(parse, text[: len(text) // parts]), limit / parts / parts)
        if took * parts * parts < limit:
            return took * parts
    return best_of(partial(parse, text), limit * 0.7)


def measure(parser: Parser, size: int, limit: float) -> Iterator[Result]:
    """Time every text of one format, whole and in pieces."""
    for hostile in hostile_texts(parser):
        text = hostile.text(size)
        for how, parse in (("whole", parse_whole), ("pieces", parse_pieces)):
            took = seconds(partial(parse, parser), text, limit)
            yield Result(seconds=took, format=parser.name, how=how, text=hostile)


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each format and each text past the limit; 1 when there is one."""
    options = argparse.ArgumentParser(prog="hostile.py", description=__doc__)
    options.add_argument("--formats", default="", help="names, comma separated; default: all")
    options.add_argument("--size", type=int, default=1024, help="KB of each text")
    options.add_argument("--limit", type=float, default=1.0, help="seconds a text may take")
    args = options.parse_args(argv)
    names = [get_parser(name).name for name in args.formats.split(",") if name]
    parsers = [get_parser(name) for name in names or dict.fromkeys(map(_name, list_parsers()))]
    failed = 0
    for parser in parsers:
        results = [*measure(parser, args.size * 1024, args.limit)]
        over = [one for one in results if one.seconds >= args.limit]
        failed += len(over)
        worst = max(results, key=lambda one: one.seconds)
        print(f"{parser.name}: {len(results)} runs, {len(over)} over; worst {_line(worst)}")
        for one in sorted(over, key=lambda one: -one.seconds):
            print(f"  FAIL {_line(one)}")
        sys.stdout.flush()
    print(f"{failed} texts took {args.limit:g} s or more")
    return 1 if failed else 0


def _name(alias: str) -> str:
    return get_parser(alias).name


def _line(result: Result) -> str:
    text = result.text
    return f"{result.seconds:.3f} s {result.how} {text.before[-60:]!r} + {text.unit[:60]!r} * n"


if __name__ == "__main__":
    sys.exit(main())
