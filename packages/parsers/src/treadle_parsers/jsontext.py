"""JSON as text: where a value ends, whether it is valid, and the same without recursion.

`ValueScan` finds the end of one JSON value in text that arrives in pieces, jumping from one
structural character to the next. It does not judge the value: `load` does, once, when the value
is complete. Strict JSON only: `NaN` and raw control characters in strings are errors. Numbers of
any length and any depth of nesting are handled without an exception.
"""

import json
import re
from enum import Enum
from typing import Any

from treadle_parsers.lookahead import string_stop

_OUTSIDE = re.compile(r"[^\s0-9+\-.,:truefalsnENIiy]")
"""What has a meaning between strings, or none; the letters are those of constants and of `NaN`."""
_NO_ITEM = re.compile(r"\[[A-Za-eg-mo-su-zA-HJ-MO-Z_]")
"""A bracket that begins no array."""
STRING_STOP = re.compile(string_stop(()))
"""What ends a run of plain characters inside a string."""
_SCALAR = re.compile(r"[^0-9+\-.A-Za-z]")
_CLOSER = {"{": "}", "[": "]"}


class Scan(Enum):
    """Where a `ValueScan` stands."""

    MORE = "more"
    """Everything given was consumed, the value goes on."""
    DONE = "done"
    """The value ended at the returned position."""
    BAD = "bad"
    """The character at the returned position can't stand there."""
    PAUSED = "paused"
    """Inside a string, at a character that might begin the closing marker of the call."""


class ValueScan:
    """Find the end of one JSON value. `stop` is the pattern of what to look at inside strings:
    the scan pauses at what is neither a quote nor a backslash.
    """

    __slots__ = (
        "_closers",
        "_in_string",
        "_last",
        "_scalar",
        "_skip",
        "_started",
        "_stop",
        "state",
    )

    def __init__(self, stop: re.Pattern[str] = STRING_STOP) -> None:
        self.state: Scan = Scan.MORE
        self._closers: list[str] = []
        self._in_string = False
        self._last = ""
        self._scalar = False
        self._started = False
        self._skip = False
        self._stop = stop

    def advance(self, text: str, at: int, *, ended: bool = False) -> int:
        """Scan `text` from `at`; return the position up to which it is consumed; set `state`."""
        self.state = Scan.MORE
        if not self._started:
            if at >= len(text):
                return at
            self._started = True
            self._scalar = text[at] not in '{["'
        if self._scalar:
            return self._advance_scalar(text, at, ended=ended)
        stop = self._advance_structure(text, at, ended=ended)
        self._last = _solid_before(text, stop, at) or self._last
        return stop

    def resume(self) -> None:
        """Go on after a pause: the character was part of the string."""
        self._skip = True

    def _advance_scalar(self, text: str, at: int, *, ended: bool) -> int:
        found = _SCALAR.search(text, at)
        if found:
            self.state = Scan.DONE if found.start() > at or self._skip else Scan.BAD
            return found.start()
        self._skip = True
        if ended:
            self.state = Scan.DONE
        return len(text)

    def _advance_structure(self, text: str, at: int, *, ended: bool) -> int:
        closers = self._closers
        while True:
            if self._in_string:
                at = self._advance_string(text, at)
                if self._in_string or not closers:
                    return at
            found = _OUTSIDE.search(text, at)
            if found is None:
                return len(text)
            at = found.start()
            char = found.group()
            if char == '"':
                self._in_string = True
            elif char == "[" and at + 1 == len(text) and not ended:
                return at
            elif char in _CLOSER and not self._misplaced(text, at):
                closers.append(_CLOSER[char])
            elif closers and char == closers[-1]:
                closers.pop()
                if not closers:
                    self.state = Scan.DONE
                    return at + 1
            else:
                self.state = Scan.BAD
                return at
            at += 1

    def _misplaced(self, text: str, at: int) -> bool:
        """Say whether the bracket at `at` can't stand there: in an object it follows a colon."""
        if _NO_ITEM.match(text, at):
            return True
        if not self._closers or self._closers[-1] == "]":
            return False
        return (_solid_before(text, at) or self._last) != ":"

    def _advance_string(self, text: str, at: int) -> int:
        search, size = self._stop.search, len(text)
        if self._skip:
            self._skip = False
            at += 1
        while True:
            found = search(text, at)
            if found is None:
                return size
            at = found.start()
            char = text[at]
            if char == '"':
                self._in_string = False
                if not self._closers:
                    self.state = Scan.DONE
                return at + 1
            if char != "\\":
                self.state = Scan.PAUSED
                return at
            if at + 2 > size:
                return at
            at += 2


def _solid_before(text: str, at: int, start: int = 0) -> str:
    """Return the last character before `at` that isn't white space, empty when there is none."""
    while at > start:
        at -= 1
        if text[at] not in " \t\r\n":
            return text[at]
    return ""


class TooDeep:
    """Stands for a valid value nested too deeply to be built."""


def load(text: str) -> Any:
    """Return the value of strict JSON `text`, or `TooDeep` for a valid value that can't be built.

    Raises: ValueError when `text` is not JSON.
    """
    try:
        return _decode(text)
    except RecursionError:
        from treadle_parsers import jsondeep  # for rare texts only

        if jsondeep.is_valid(text):
            return TooDeep()
        raise ValueError("not JSON") from None


def _decode(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        if isinstance(error, _Refused):
            raise
        return _LONG_DECODER.decode(text)


class _Refused(ValueError):
    """A constant that Python's reader accepts and JSON doesn't have."""


def _refuse(constant: str) -> Any:
    raise _Refused(f"{constant} is not JSON")


def _huge(digits: str) -> int:
    """Stand in for an integer that is too long to convert; only its type is looked at."""
    return int(digits[:18])


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_LONG_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=_huge)
