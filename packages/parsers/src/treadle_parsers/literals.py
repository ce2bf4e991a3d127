"""Values written in a notation that isn't JSON, turned into JSON text while they arrive.

`LiteralScan` reads one value of a dialect and gives JSON text piece by piece; strings flow as
they are written. Never raises and never recurses.
"""

import json
import re
from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from treadle_parsers.dialects import Dialect, Quote
from treadle_parsers.jsontext import Scan
from treadle_parsers.literalitems import word_items, word_json
from treadle_parsers.literalstrings import string_text
from treadle_parsers.numbertext import LONGEST_STOP, PART, NumberItems, number_end, too_long

_encode = json.JSONEncoder(ensure_ascii=False).encode

_SPACE = re.compile(r"\s+")
_OPENS = re.compile(r"[\[(\s]+")
MAX_DEPTH = 65_536
"""How deep values are nested at most; what lies deeper can't be read."""
_BRACKETS = ("", "[", "{", "(")
_CLOSER = {"{": "}", "[": "]", "(": ")"}
_JSON = {"{": "{", "}": "}", "[": "[", "]": "]", "(": "[", ")": "]"}


class Expect(Enum):
    """What may come next."""

    VALUE, KEY, COLON, AFTER = range(4)


BareValue: TypeAlias = Callable[[str, str], str | None]
"""Types a bare value of the outermost object: from its key and its text to JSON text."""


class LiteralScan:
    """Read one value of a dialect; `advance` consumes text and fills `out` with JSON text."""

    __slots__ = (
        "_bare_value",
        "_closers",
        "_comma",
        "_dialect",
        "_expect",
        "_key",
        "_numbers",
        "_quote",
        "_sought",
        "out",
        "state",
    )

    def __init__(self, dialect: Dialect, bare_value: BareValue | None = None) -> None:
        self.state: Scan = Scan.MORE
        self.out: list[str] = []
        self._dialect = dialect
        self._bare_value = bare_value
        self._key = ""
        self._closers: list[str] = []
        self._comma = False
        self._sought = 0
        self._numbers = NumberItems()
        self._expect = Expect.VALUE
        self._quote: Quote | None = None

    def take(self) -> str:
        """Return the JSON text since the last take."""
        text = "".join(self.out)
        self.out.clear()
        return text

    def advance(self, text: str, at: int, *, ended: bool = False) -> int:
        """Scan `text` from `at`; return the position up to which it is consumed."""
        self.state = Scan.MORE
        while self.state is Scan.MORE:
            if self._quote:
                stop = self._string(text, at, self._quote, ended=ended)
                if self._quote:
                    return stop
                at = stop
                continue
            value = self._expect is Expect.VALUE
            if value and text[at : at + 1] not in _BRACKETS and "]" in self._closers[-1:]:
                at = self._items(text, at, ended=ended)
                if not ended and PART.match(text, at):
                    return at
            start = at
            spaces = _SPACE.match(text, at)
            at = spaces.end() if spaces else at
            if at >= len(text):
                return at
            stop = self._token(text, at, ended=ended)
            if stop == at and self.state is Scan.MORE:
                return start if self._expect is Expect.AFTER else at
            at = stop
        return at

    def _token(self, text: str, at: int, *, ended: bool) -> int:
        char = text[at]
        if self._closers and char == self._closers[-1] and self._expect is not Expect.COLON:
            return self._close(text, at)
        if self._expect is Expect.AFTER:
            if char == ",":
                self._comma = True
                self._expect = Expect.KEY if self._closers[-1] == "}" else Expect.VALUE
                return at + 1
            return self._bad(at)
        if self._expect is Expect.COLON:
            if char != ":":
                return self._bad(at)
            self.out.append(": ")
            self._expect = Expect.VALUE
            return at + 1
        return self._begin(text, at, ended=ended)

    def _begin(self, text: str, at: int, *, ended: bool) -> int:
        """Begin a value or a key."""
        char = text[at]
        if self._expect is Expect.VALUE and char in "-0123456789" and self._closers:
            stop = self._number(text, at)
            if stop > at:
                return stop
        for quote in self._dialect.quotes if char in self._dialect.quote_firsts else ():
            if text.startswith(quote.open, at):
                self._separate()
                self.out.append('"')
                self._quote = quote
                return at + len(quote.open)
            if not ended and quote.open.startswith(text[at : at + len(quote.open)]):
                return at
        if char in _CLOSER:
            refused = self._expect is Expect.KEY or len(self._closers) >= MAX_DEPTH
            return self._bad(at) if refused else self._open(text, at)
        return self._bare(text, at, ended=ended)

    def _close(self, text: str, at: int) -> int:
        closers = self._closers
        while closers and text.startswith(closers[-1], at):
            self.out.append(_JSON[closers.pop()])
            at += 1
        self._comma = False
        self._value_done()
        return at

    def _open(self, text: str, at: int) -> int:
        """Take an opening bracket, and those of arrays that follow it at once."""
        self._separate()
        if text[at] == "{":
            self._closers.append("}")
            self.out.append("{")
            self._expect = Expect.KEY
            return at + 1
        found = _OPENS.match(text, at, at + MAX_DEPTH - len(self._closers))
        opened = "".join(found.group().split()) if found else text[at]
        self._closers.extend(_CLOSER[char] for char in opened)
        self.out.append("[" * len(opened))
        self._expect = Expect.VALUE
        return found.end() if found else at + 1

    def _value_done(self) -> None:
        self._expect = Expect.AFTER
        if not self._closers:
            self.state = Scan.DONE

    def _bad(self, at: int) -> int:
        self.state = Scan.BAD
        return at

    def _separate(self) -> None:
        if self._comma:
            self.out.append(", ")
            self._comma = False

    def _plain(self) -> bool:
        """Say whether a value that begins here is what its text says, whatever its key."""
        return not (self._sought or (self._bare_value and len(self._closers) == 1))

    def _number(self, text: str, at: int) -> int:
        """Take one number; `at` when that isn't plain."""
        stop = number_end(text, at) if self._plain() else at
        if stop > at:
            self._separate()
            self.out.append(text[at:stop])
            self._value_done()
        return stop

    def _items(self, text: str, at: int, *, ended: bool) -> int:
        """Take items of an array that commas follow; `at` when there is none."""
        if not self._plain():
            return at
        items, stop = self._numbers.take(text, at)
        if not items and (ended or not PART.match(text, at)):
            items, stop = word_items(self._dialect, text, at)
        if items:
            self._separate()
            self.out.append(items)
            self._comma = True
        return stop

    def _bare(self, text: str, at: int, *, ended: bool) -> int:
        key = self._expect is Expect.KEY
        ends = self._dialect.key_end if key else self._dialect.value_end
        found = ends.search(text, at + self._sought)
        stop = found.start() if found else len(text)
        if too_long(stop - at, whole=ended or found is not None):
            return self._bad(at)
        if found is None and not ended:
            self._sought = max(0, stop - at - LONGEST_STOP)
            return at
        self._sought = 0
        word = text[at:stop]
        if self._dialect.bare_strings:
            word = word.rstrip()
        json_text = _encode(word) if key else self._typed(word)
        if not word or json_text is None:
            return self._bad(at)
        self._separate()
        self.out.append(json_text)
        if key:
            self._key = word
            self._expect = Expect.COLON
        else:
            self._value_done()
        return stop

    def _typed(self, word: str) -> str | None:
        """Return JSON for a bare value."""
        if self._bare_value and len(self._closers) == 1:
            typed = self._bare_value(self._key, word)
            if typed is not None:
                return typed
        return word_json(self._dialect, word)

    def _string(self, text: str, at: int, quote: Quote, *, ended: bool) -> int:
        """Pass on the text of a string, and its end when that has arrived."""
        at = string_text(text, at, quote, self.out, ended=ended)
        if not text.startswith(quote.close, at):
            return at
        self.out.append('"')
        self._quote = None
        if self._expect is Expect.KEY:
            self._expect = Expect.COLON
        else:
            self._value_done()
        return at + len(quote.close)
