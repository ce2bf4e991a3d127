"""Numbers in text that arrives in pieces: what one looks like, and the items of a long array."""

import json
import re

LONGEST_STOP = 32
"""Most characters of what ends a value without quotes."""
BARE_MOST = 1_024
"""Most characters of a value without quotes."""
BARE_LIMIT = BARE_MOST + LONGEST_STOP
"""Most characters that are held back of such a value and the beginning of its end."""
RUN = 4_096
"""Most characters that are tried at once."""
_SHORT_RUN = 48
"""Fewest characters that are worth trying at once."""
_SINGLES = 256
"""How many items are read one by one after a run that couldn't be read at once."""

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
"""A number as JSON writes it."""
PART = re.compile(r"\s*[-0-9][-+.0-9eE]{0,40}\Z")
"""The beginning of a number, or a number that may go on."""
_ITEM = re.compile(rf"\s*({NUMBER.pattern})\s*,")
_NUMBERS = re.compile(r"[0-9\s,.\-+eE]*")


def too_long(length: int, *, whole: bool) -> bool:
    """Say whether no value without quotes has `length`; unless that is the whole of it, what came
    last may be the beginning of its end.
    """
    return length > (BARE_MOST if whole else BARE_LIMIT)


def number_end(text: str, at: int) -> int:
    """Return where the number at `at` ends; `at` unless one stands there that is surely whole."""
    found = NUMBER.match(text, at)
    stop = found.end() if found else at
    plain = stop < len(text) and text[stop] in ",]})" and stop - at <= BARE_MOST
    return stop if plain else at


class NumberItems:
    """Take numbers that commas follow, many at once where that is possible.

    A run that can't be read at once is paid for by the many items that are then read one by one,
    so the work stays in proportion to the text.
    """

    __slots__ = ("_singles",)

    def __init__(self) -> None:
        self._singles = 0

    def take(self, text: str, at: int) -> tuple[str, int]:
        """Return the numbers from `at` on as JSON, and where they end, the last comma included."""
        if self._singles:
            self._singles -= 1
        elif len(text) - at > _SHORT_RUN:
            items, stop = _run(text, at)
            if items:
                return items, stop
            self._singles = _SINGLES
        taken: list[str] = []
        while (found := _ITEM.match(text, at)) and found.end() - at <= BARE_MOST:
            taken.append(found[1])
            at = found.end()
            if not self._singles and len(text) - at > _SHORT_RUN:
                break
        return ", ".join(taken), at


def _run(text: str, at: int) -> tuple[str, int]:
    """Take a long run of numbers at once; nothing when there is none."""
    found = _NUMBERS.match(text, at, at + RUN)
    stop = text.rfind(",", at, found.end()) if found else -1
    if stop - at < _SHORT_RUN or _holds_long(text, at, stop):
        return "", at
    run = text[at:stop]
    try:
        json.loads(f"[{run}]")
    except ValueError:
        return "", at
    tight = run.replace(", ", ",")
    if tight.split(None, 1) != [tight]:  # quicker than a pattern to find white space
        tight = ",".join(map(str.strip, run.split(",")))
    return tight.replace(",", ", "), stop + 1


def _holds_long(text: str, at: int, stop: int) -> bool:
    """Say whether an item may be longer than a value without quotes is."""
    while stop - at > BARE_MOST:
        comma = text.rfind(",", at, at + BARE_MOST + 1)
        if comma < 0:
            return True
        at = comma + 1
    return False
