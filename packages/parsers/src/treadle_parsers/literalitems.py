"""Values without quotes, and runs of short items of an array, in a notation that isn't JSON.

A run is taken at once, so that a long array of small items costs little for each of them; what a
run doesn't take is left to be read value by value, with the same result.
"""

import json
from itertools import islice

from treadle_parsers.dialects import Dialect
from treadle_parsers.numbertext import RUN
from treadle_parsers.spellings import number

_encode = json.JSONEncoder(ensure_ascii=False).encode


def word_json(dialect: Dialect, word: str) -> str | None:
    """Return JSON for a bare value; None when the dialect has no such value."""
    known = dialect.words.get(word)
    if known is not None:
        return known
    written = number(word)
    if written is not None:
        return written
    return _encode(word) if dialect.bare_strings else None


def word_items(dialect: Dialect, text: str, at: int) -> tuple[str, int]:
    """Return short words and strings that commas follow, from `at` on, as the items of a JSON
    array, and where they end, the last comma included.
    """
    found = dialect.items.match(text, at, at + RUN)
    if found is None:
        return "", at
    stop = found.end()
    words = dialect.item.findall(text, at, stop)
    known = {word: _item_json(dialect, word) for word in dict.fromkeys(words)}
    items = [known[word] for word in words]
    if None in known.values():
        good = items.index(None)
        items = items[:good]
        last = next(islice(dialect.item.finditer(text, at, stop), good - 1, None)) if good else None
        stop = last.end() if last else at
    return ", ".join(item for item in items if item is not None), stop


def _item_json(dialect: Dialect, word: str) -> str | None:
    for quote in dialect.quotes:
        if word.startswith(quote.open):
            return f'"{word[len(quote.open) : -len(quote.close)]}"'
    return word_json(dialect, word)
