"""JSON as text: where a value ends, whether it is valid, and the same without recursion.

`ValueScan` finds the end of one JSON value in text that arrives in pieces, jumping from one
structural character to the next. It does not judge the value: `load` does, once, when the value
is complete. Strict JSON only: `NaN` and raw control characters in strings are errors. Numbers of
any length and any depth of nesting are handled without an exception.
"""

import json
import re
from enum import Enum
from functools import cache
from typing import Any

_OUTSIDE = re.compile(r"[^\s0-9+\-.,:A-Za-z_]")
_SCALAR = re.compile(r"[^0-9+\-.A-Za-z]")
_CLOSER = {"{": "}", "[": "]"}
_TOKEN = re.compile(
    r'[\t\n\r ]*(?:([{}\[\]:,])|"([^"\\\x00-\x1f]*)'
    r"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null))"
)
_STRING_REST = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|[^"\\\x00-\x1f]+|"')


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
    """Find the end of one JSON value. `pauses` are literals to stop at inside strings."""

    __slots__ = (
        "_closers",
        "_in_string",
        "_pauses",
        "_scalar",
        "_skip",
        "_started",
        "_stop",
        "state",
    )

    def __init__(self, pauses: tuple[str, ...] = ()) -> None:
        self.state: Scan = Scan.MORE
        self._closers: list[str] = []
        self._in_string = False
        self._scalar = False
        self._started = False
        self._skip = False
        self._pauses = pauses
        self._stop = _string_stop(pauses)

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
        while self.state is Scan.MORE and at < len(text):
            if self._in_string:
                stopped = self._advance_string(text, at)
                if self.state is Scan.MORE and self._in_string:
                    return stopped
                at = stopped
            else:
                at = self._advance_outside(text, at)
        return at

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
            if char == "\\":
                if at + 2 > size:
                    return at
                at += 2
            elif self._may_pause(text, at):
                self.state = Scan.PAUSED
                return at
            else:
                at += 1

    def _may_pause(self, text: str, at: int) -> bool:
        return any(pause.startswith(text[at : at + len(pause)]) for pause in self._pauses)

    def _advance_outside(self, text: str, at: int) -> int:
        found = _OUTSIDE.search(text, at)
        if found is None:
            return len(text)
        at = found.start()
        char = text[at]
        if char == '"':
            self._in_string = True
        elif char in _CLOSER:
            self._closers.append(_CLOSER[char])
        elif self._closers and char == self._closers[-1]:
            self._closers.pop()
            if not self._closers:
                self.state = Scan.DONE
        else:
            self.state = Scan.BAD
            return at
        return at + 1


@cache
def _string_stop(pauses: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile('["\\\\' + "".join({re.escape(pause[0]) for pause in pauses}) + "]")


class TooDeep:
    """Stands for a valid value nested too deeply to be built."""


def load(text: str) -> Any:
    """Return the value of strict JSON `text`, or `TooDeep` for a valid value that can't be built.

    Raises: ValueError when `text` is not JSON.
    """
    try:
        return _decode(text)
    except RecursionError:
        if valid_without_recursion(text):
            return TooDeep()
        raise ValueError("not JSON") from None


def _decode(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        if isinstance(error, _Refused):
            raise
        return json.loads(text, parse_constant=_refuse, parse_int=_huge)


class _Refused(ValueError):
    """A constant that Python's reader accepts and JSON doesn't have."""


def _refuse(constant: str) -> Any:
    raise _Refused(f"{constant} is not JSON")


def _huge(digits: str) -> int:
    """Stand in for an integer that is too long to convert; only its type is looked at."""
    return int(digits[:18])


def valid_without_recursion(text: str) -> bool:
    """Check `text` against the JSON grammar with an explicit stack."""
    stack: list[str] = []
    expect = "value"
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return expect == "end" and not text[at:].strip("\t\n\r ")
        at = found.end()
        mark = found[1]
        if found[2] is not None:
            at = _string_end(text, at)
            if at < 0:
                return False
            mark = '"'
        expect = _next_state(expect, mark or "0", stack)
        if not expect:
            return False
    return expect == "end"


def _string_end(text: str, at: int) -> int:
    while True:
        found = _STRING_REST.match(text, at)
        if found is None:
            return -1
        at = found.end()
        if found.group() == '"':
            return at


def _next_state(expect: str, mark: str, stack: list[str]) -> str:
    """Return what may follow `mark`, empty when `mark` can't stand here."""
    after = ("comma " + stack[-1]) if stack else "end"
    if mark in "}]":
        empty = expect == ("first key" if mark == "}" else "first value")
        if not stack or stack[-1] != mark or not (empty or expect.startswith("comma")):
            return ""
        stack.pop()
        return ("comma " + stack[-1]) if stack else "end"
    if expect in ("value", "first value"):
        if mark in _CLOSER:
            stack.append(_CLOSER[mark])
            return "first key" if mark == "{" else "first value"
        return after if mark in '"0' else ""
    if expect in ("key", "first key"):
        return "colon" if mark == '"' else ""
    if expect == "colon":
        return "value" if mark == ":" else ""
    if expect.startswith("comma") and mark == ",":
        return "key" if expect.endswith("}") else "value"
    return ""
