"""The figures of treadle_parsers: whole text, stream, growth, and time a delta."""

import gc
import json
import math
import time
from dataclasses import dataclass
from itertools import pairwise

from cases import Case, Shape, make_case
from deltas import best_time, cut

from treadle_parsers import Format, ParsedMessage, get_parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One parser's seconds for one case."""

    whole: float | None
    """None: past the limit."""
    stream: float | None
    """None: past the limit."""
    right: bool
    """Whole text and stream both gave the call."""
    failure: str = ""
    """What the parser raised instead; the times then say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How streaming behaves between a small and a large text."""

    exponent: float
    """Log-log growth of total streaming time: 1 is linear."""
    middle: float
    """Seconds a 4-character delta in the middle tenth of the large text."""
    end: float
    """Seconds a 4-character delta in the last tenth."""
    throughput: float
    """Characters a second, large text parsed whole."""


def time_case(case: Case) -> Timing:
    """Time treadle_parsers on `case`."""
    deltas = cut(case.text, case.markers)
    parser = get_parser(case.format)
    right = _says(parser.parse(case.text, case.tools), case) and _says(_stream(case, deltas), case)
    return Timing(
        whole=best_time(lambda: parser.parse(case.text, case.tools), repeats=3, budget=0.3),
        stream=best_time(lambda: _stream(case, deltas), repeats=3, budget=0.3),
        right=right,
    )


def time_growth(form: Format, shape: Shape, small: int, large: int) -> Growth:
    """Time streams of 4-character deltas of `small` and `large` characters."""
    short, long = make_case(form, shape, small), make_case(form, shape, large)
    few, many = _fours(short.text), _fours(long.text)
    base = best_time(lambda: _stream(short, few), repeats=3, budget=0.3)
    tenths = _stream_tenths(long, many)
    parser = get_parser(form.name)
    whole = best_time(lambda: parser.parse(long.text, long.tools), repeats=2, budget=0.1)
    each = len(many) // 10
    return Growth(
        exponent=math.log(sum(tenths) / base) / math.log(len(many) / len(few)),
        middle=tenths[5] / each,
        end=tenths[9] / (len(many) - 9 * each),
        throughput=len(long.text) / whole,
    )


def _fours(text: str) -> list[str]:
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def _stream(case: Case, deltas: list[str]) -> ParsedMessage:
    stream = get_parser(case.format).stream(case.tools)
    for delta in deltas:
        stream.feed(delta)
    return stream.close()


def _stream_tenths(case: Case, deltas: list[str]) -> list[float]:
    """Return the seconds of each tenth of the stream, and as an eleventh those of closing it."""
    stream = get_parser(case.format).stream(case.tools)
    each = len(deltas) // 10
    borders = [each * tenth for tenth in range(10)] + [len(deltas)]
    times: list[float] = []
    gc.collect()
    for first, last in pairwise(borders):
        part = deltas[first:last]
        start = time.perf_counter()
        for delta in part:
            stream.feed(delta)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    stream.close()
    times.append(time.perf_counter() - start)
    return times


def _says(message: ParsedMessage, case: Case) -> bool:
    if len(message.tool_calls) != 1:
        return False
    try:
        return json.loads(message.tool_calls[0].arguments) == case.arguments
    except ValueError:
        return False
