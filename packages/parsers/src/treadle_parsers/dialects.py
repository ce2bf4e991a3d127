"""Notations for values that aren't JSON: how strings are quoted and which bare words there are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from treadle_parsers.lookahead import SPACE, grown

ITEM_LIMIT = 64
"""Most characters of an item that is read together with others."""

_SAME_ESCAPES = r'\\(?:["\\bfnrt]|u[0-9a-fA-F]{4})'
"""Escapes that Python and JSON share."""


@dataclass(frozen=True, slots=True)
class Quote:
    """How a string begins and ends."""

    open: str
    close: str
    escapes: bool = True
    """Whether a backslash escapes, as in Python."""
    alike: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """Text that a JSON string holds as it is, up to what may end this one."""
    other: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """Any text up to an escape and what may end the string."""

    def __post_init__(self) -> None:
        first, rest = re.escape(self.close[0]), grown(self.close[1:])
        lone = rf"|{first}(?!{rest})" if rest else ""
        same = "|" + _SAME_ESCAPES if self.escapes else ""
        slash = r"\\" if self.escapes else ""
        alike = rf'[^"\\\x00-\x1f{first}]{same}{lone if self.close[0] != chr(34) else ""}'
        object.__setattr__(self, "alike", re.compile(f"(?:{alike})*+"))
        object.__setattr__(self, "other", re.compile(f"(?:[^{first}{slash}]{lone})*+"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A notation for values."""

    quotes: tuple[Quote, ...]
    """Longer ones first."""
    words: Mapping[str, str] = field(default_factory=dict[str, str])
    """Bare words and the JSON they stand for."""
    bare_strings: bool = False
    """Whether any other bare text is a string."""
    bare_stop: str = r"[\s,\[\](){}:=\"']"
    """Regular expression of what ends a bare value."""
    key_stop: str = r"[\s,\[\](){}:=\"']"
    """Regular expression of what ends a bare key."""
    value_end: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """`bare_stop`, compiled."""
    key_end: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """`key_stop`, compiled."""
    quote_firsts: frozenset[str] = field(init=False, repr=False, compare=False)
    """The characters that a quote may begin with."""
    item: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """A short word, or a short string whose text is the same in JSON, and a comma; the group is
    the word or string.
    """
    items: re.Pattern[str] = field(init=False, repr=False, compare=False)
    """Any number of such items."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_end", re.compile(self.bare_stop))
        object.__setattr__(self, "key_end", re.compile(self.key_stop))
        object.__setattr__(self, "quote_firsts", frozenset(one.open[0] for one in self.quotes))
        firsts = re.escape("".join(sorted(self.quote_firsts)))
        word = rf"[^\s,\[\](){{}}:=<{firsts}]{{1,{ITEM_LIMIT}}}+"
        item = rf"\s*+({'|'.join([*map(_plain, self.quotes), word])}){SPACE},"
        object.__setattr__(self, "item", re.compile(item))
        object.__setattr__(self, "items", re.compile(rf"(?:{item.replace('(', '(?:', 1)})++"))


def _plain(quote: Quote) -> str:
    """Return the pattern of a string without anything to look at."""
    first = re.escape(quote.close[0])
    inner = rf'[^"\\\x00-\x1f{first}]{{0,{ITEM_LIMIT}}}+'
    return re.escape(quote.open) + inner + re.escape(quote.close)


PYTHON = Dialect(
    quotes=(Quote('"""', '"""'), Quote("'''", "'''"), Quote('"', '"'), Quote("'", "'")),
    words={
        "True": "true",
        "False": "false",
        "None": "null",
        "true": "true",
        "false": "false",
        "null": "null",
    },
)
