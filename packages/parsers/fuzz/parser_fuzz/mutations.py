"""Changes of a case that know what tool calls look like: markers and whole calls spliced in,
pieces cut, doubled, swapped and repeated, and everything around the text changed.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from parser_fuzz.cases import FORMATS, PREFIXES, REASONS, TOOLS, Case
from parser_fuzz.vocabulary import SCRAPS, words_of
from treadle_parsers import CallStatus, RenderError, Span, ToolCall, get_parser

Change = Callable[[str, random.Random, Case], str]

STRINGS: tuple[str, ...] = (
    "x",
    "",
    " a ",
    "a\nb",
    "02134",
    "null",
    "true",
    '{"k": [1]}',
    'say "hi"',
    "C:\\n",
    "a < b && c > d",
    "}{][",
    "é🎈",
    "\ud800",
)


def some_value(draw: random.Random, depth: int = 2) -> Any:
    """Return a random JSON value."""
    kind = draw.randrange(9 if depth else 6)
    if kind < 3:
        return draw.choice(STRINGS)
    if kind == 3:
        return draw.choice([0, -7, 3, 10**30, 2.5, 1e300])
    if kind in (4, 5):
        return draw.choice([None, True, False])
    inner = [some_value(draw, depth - 1) for _ in range(draw.randrange(4))]
    return inner if kind < 7 else dict(zip("snbaou", inner, strict=False))


def some_calls(draw: random.Random) -> list[ToolCall]:
    """Return one to three random calls."""
    span = Span(start=0, end=0)
    return [
        ToolCall(
            name=draw.choice(["f", "g", "h.i", "stranger"]),
            arguments=json.dumps(
                {key: some_value(draw) for key in draw.sample("snbaou", draw.randrange(4))},
                ensure_ascii=False,
            ),
            id="",
            index=index,
            status=CallStatus.OK,
            span=span,
            raw="",
        )
        for index in range(draw.choice([1, 1, 1, 2, 3]))
    ]


def rendered(name: str, draw: random.Random) -> str:
    """Return random calls as a dialect of the format `name` writes them, with words around them
    or not.
    """
    parser = get_parser(name)
    dialect = draw.choice([None, *(one.name for one in parser.format.dialects)])
    content = draw.choice(["", "", "Hi.", "a < b"])
    reasoning = draw.choice(["", "", "hm"])
    try:
        return parser.render(
            some_calls(draw), content=content, reasoning=reasoning, dialect=dialect
        )
    except RenderError:
        return content


def _some_word(draw: random.Random, case: Case) -> str:
    if draw.random() < 0.3:
        return draw.choice(SCRAPS)
    name = case.format if draw.random() < 0.9 else draw.choice(FORMATS)
    return draw.choice(words_of(name))


def _range(text: str, draw: random.Random) -> tuple[int, int]:
    start = draw.randrange(len(text) + 1)
    return start, min(len(text), start + draw.choice([1, 1, 2, 4, 8, 16, 64]))


def _insert(text: str, draw: random.Random, case: Case) -> str:
    at = draw.randrange(len(text) + 1)
    return text[:at] + _some_word(draw, case) + text[at:]


def _overwrite(text: str, draw: random.Random, case: Case) -> str:
    start, end = _range(text, draw)
    return text[:start] + _some_word(draw, case) + text[end:]


def _delete(text: str, draw: random.Random, _case: Case) -> str:
    start, end = _range(text, draw)
    return text[:start] + text[end:]


def _double(text: str, draw: random.Random, _case: Case) -> str:
    start, end = _range(text, draw)
    return text[:end] + text[start:end] + text[end:]


def _swap(text: str, draw: random.Random, _case: Case) -> str:
    a, b, c = sorted(draw.randrange(len(text) + 1) for _ in range(3))
    return text[:a] + text[b:c] + text[a:b] + text[c:]


def _truncate(text: str, draw: random.Random, _case: Case) -> str:
    at = draw.randrange(len(text) + 1)
    return text[:at] if draw.random() < 0.8 else text[at:]


def _call(text: str, draw: random.Random, case: Case) -> str:
    at = draw.randrange(len(text) + 1)
    return text[:at] + rendered(case.format, draw) + text[at:]


def _replace_word(text: str, draw: random.Random, case: Case) -> str:
    """Put another word in the place of a marker."""
    present = [word for word in words_of(case.format) if word in text]
    if not present:
        return _insert(text, draw, case)
    word = draw.choice(present)
    at = text.find(word, draw.randrange(len(text)))
    at = at if at >= 0 else text.find(word)
    other = draw.choice([_some_word(draw, case), "", word[:-1], word[1:], word + word])
    return text[:at] + other + text[at + len(word) :]


CHANGES: tuple[Change, ...] = (
    _insert,
    _insert,
    _overwrite,
    _delete,
    _double,
    _swap,
    _truncate,
    _call,
    _replace_word,
    _replace_word,
)


def changed(text: str, draw: random.Random, case: Case) -> str:
    """Return `text` after one to four random changes; `case` says whose words are used."""
    for _ in range(draw.choice([1, 1, 1, 2, 2, 4])):
        text = draw.choice(CHANGES)(text, draw, case)
    return text


def mutated(case: Case, draw: random.Random, scramble: Callable[[str], str]) -> Case:
    """Return a case near `case`; `scramble` is the engine's own change of a text."""
    kind = draw.random()
    if kind < 0.05:
        name = draw.choice(FORMATS)
        text = case.text if draw.random() < 0.2 else rendered(name, draw)
        return replace(case, format=name, text=text, repeat=(0, 0, 1))
    if kind < 0.15:
        return _resituated(case, draw)
    if kind < 0.18 and case.text:
        start, end = _range(case.text, draw)
        times = draw.choice([2, 10, 100, 1000, 5000])
        return replace(case, repeat=(start, max(end, start + 1), times))
    text = scramble(case.text) if kind < 0.35 else changed(case.text, draw, case)
    repeat = case.repeat if draw.random() < 0.7 else (0, 0, 1)
    return replace(case, text=text, repeat=repeat)


def _resituated(case: Case, draw: random.Random) -> Case:
    """Change what is around the text."""
    return replace(
        case,
        tools=draw.choice([case.tools, *TOOLS]),
        prefix=draw.choice([case.prefix, "", *PREFIXES]),
        reason=draw.choice(REASONS),
        cuts=draw.randrange(0x10000),
    )


def crossed(first: Case, second: Case, draw: random.Random) -> Case:
    """Return `first` with a piece of the text of `second` in it."""
    start, end = sorted(draw.randrange(len(second.text) + 1) for _ in range(2))
    at = draw.randrange(len(first.text) + 1)
    over = draw.choice([at, _range(first.text, draw)[1]])
    text = first.text[:at] + second.text[start:end] + first.text[max(at, over) :]
    return replace(first, text=text)


def seeds(each: int = 12) -> list[Case]:
    """Return some cases for every format, the same each time."""
    found: list[Case] = []
    for name in FORMATS:
        draw = random.Random(name)
        tools = list(TOOLS)
        for place in range(each):
            case = Case(format=name, text=rendered(name, draw), tools=tools[place % len(tools)])
            text = case.text if place % 3 else changed(case.text, draw, case)
            found.append(
                replace(
                    case,
                    text=text,
                    prefix=PREFIXES[place % len(PREFIXES)] if place > each // 2 else "",
                    reason=REASONS[place % len(REASONS)],
                    cuts=draw.randrange(0x10000),
                )
            )
    return found
