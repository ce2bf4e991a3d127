"""The text of a string in a notation that isn't JSON, written as that of a JSON string."""

import json

from treadle_parsers.dialects import Quote
from treadle_parsers.spellings import escape

_encode = json.JSONEncoder(ensure_ascii=False).encode


def string_text(text: str, at: int, quote: Quote, out: list[str], *, ended: bool) -> int:
    """Append the text of a string to `out` up to its closing quote, an open escape, or the end of
    `text`; return where that is.
    """
    while True:
        found = quote.alike.match(text, at)
        if found and found.end() > at:
            out.append(found.group())
            at = found.end()
        if text.startswith(quote.close, at):
            return at
        if quote.escapes and text.startswith("\\", at):
            meaning, stop = escape(text, at, ended=ended)
            out.append(meaning)
        else:
            other = quote.other.match(text, at)
            stop = other.end() if other and other.end() > at else len(text) if ended else at
            out.append(_encode(text[at:stop])[1:-1])
        if stop == at:
            return at
        at = stop
