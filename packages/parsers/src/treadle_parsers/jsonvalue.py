"""One JSON value, passed on piece by piece while it arrives.

Strings are scanned as JSON strings, so markers inside them are text; only a closing marker that
is followed by the beginning of another call, or by the end of the text, ends a string that the
model forgot to close.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from treadle_parsers.cursor import Steps
from treadle_parsers.jsontext import Scan, ValueScan
from treadle_parsers.lookahead import END, string_stop
from treadle_parsers.reading import Reading


class Outcome(Enum):
    """How reading a part of a call ended."""

    DONE = "done"
    """Complete; the cursor stands after it."""
    BAD = "bad"
    """The text at the cursor can't stand there."""
    ENDED = "ended"
    """The text ended first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakouts:
    """Marker sequences that end even an open JSON string, each given part by part."""

    sequences: tuple[tuple[str, ...], ...] = ()
    stop: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """What to look at inside a string."""
    plain: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """A whole string in which there is nothing to look at; its group is the text."""

    def __post_init__(self) -> None:
        firsts = re.escape("".join(sorted({parts[0][0] for parts in self.sequences})))
        object.__setattr__(self, "stop", re.compile(string_stop(self.sequences)))
        object.__setattr__(self, "plain", re.compile(rf'"([^"\\\x00-\x1f{firsts}]*+)"'))


def read_value(
    reading: Reading, emit: Callable[[str], object], breakouts: Breakouts
) -> Steps[Outcome]:
    """Read the JSON value at the cursor, passing its text to `emit` piece by piece."""
    cursor = reading.cursor
    scan = ValueScan(breakouts.stop)
    while True:
        stop = scan.advance(cursor.buffer, cursor.at, ended=cursor.ended)
        if stop > cursor.at:
            emit(cursor.buffer[cursor.at : stop])
            cursor.at = stop
        state = scan.state
        if state is Scan.MORE:
            if cursor.ended:
                if cursor.at < len(cursor.buffer):
                    emit(cursor.buffer[cursor.at :])
                    cursor.at = len(cursor.buffer)
                return Outcome.ENDED
            yield
        elif state is Scan.DONE:
            return Outcome.DONE
        elif state is Scan.BAD or (yield from _breaks_out(reading, breakouts)):
            return Outcome.BAD
        else:
            scan.resume()


def _breaks_out(reading: Reading, breakouts: Breakouts) -> Steps[bool]:
    for parts in breakouts.sequences:
        found = yield from reading.cursor.looking_at(*parts)
        if found:
            return not (parts[-1] == END and reading.length)
    return False
