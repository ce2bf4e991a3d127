"""Python's spellings of characters and numbers, as JSON writes them."""

import json
import re

from treadle_parsers.numbertext import NUMBER

_LOOSE_NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_encode = json.JSONEncoder(ensure_ascii=False).encode

_ESCAPE = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|\r?\n|.)", re.DOTALL
)
"""One escape in a string."""
_LONGEST_ESCAPE = 10
_SIMPLE = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "a": "\a",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "\n": "",
    "\r\n": "",
}


def escape(text: str, at: int, *, ended: bool) -> tuple[str, int]:
    """Return what the escape at `at` means, as JSON text, and where it ends: `at` when it isn't
    complete yet.
    """
    if not ended and len(text) - at < _LONGEST_ESCAPE:
        head = text[at + 1 : at + 2]
        if not head or head in "xuU01234567\r":
            return "", at
    found = _ESCAPE.match(text, at)
    if found is None:
        return "\\\\", at + 1
    return _unescaped(found.group()[1:]), found.end()


def _unescaped(escape: str) -> str:
    """Return what a Python escape, without its backslash, means, as JSON text."""
    simple = _SIMPLE.get(escape)
    if simple is not None:
        return _encode(simple)[1:-1]
    if escape[0] == "u" and len(escape) == 5:
        return "\\" + escape
    if escape[0] in "xU" and len(escape) > 1:
        code = int(escape[1:], 16)
        return _encode(chr(code))[1:-1] if code < 0x110000 else "\\\\" + escape
    if escape[0] in "01234567":
        return _encode(chr(int(escape, 8)))[1:-1]
    return _encode("\\" + escape)[1:-1]


def number(word: str) -> str | None:
    """Return a number that Python accepts in the way that JSON writes it; None for other text."""
    if NUMBER.fullmatch(word):
        return word
    if not _LOOSE_NUMBER.fullmatch(word):
        return None
    digits = word.lstrip("+-").replace("_", "")
    mantissa, mark, exponent = digits.partition("e" if "e" in digits else "E")
    whole, _, rest = mantissa.partition(".")
    fixed = (whole.lstrip("0") or "0") + (f".{rest}" if rest else ".0" if "." in mantissa else "")
    return ("-" if word.startswith("-") else "") + fixed + mark + exponent
