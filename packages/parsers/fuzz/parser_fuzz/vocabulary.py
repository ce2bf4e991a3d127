"""The words of the formats: every literal that a description names, and the literal parts of its
regular expressions.
"""

import dataclasses
import re
from collections.abc import Iterator
from functools import cache
from re import _parser  # type: ignore[attr-defined]  # the one way to see into a pattern
from typing import Any

from treadle_parsers import get_parser

SCRAPS: tuple[str, ...] = (
    *'{}[]()":,\\<>=/ \n\t',
    "\r\n",
    "'",
    "|",
    "｜",
    "``",
    "```",
    "```json\n",
    "null",
    "true",
    "NaN",
    "-1.5e3",
    "02134",
    "9" * 40,
    "\ud800",
    "\ufeff",
    "\\u00e9",
    "\\ud83d",
    '\\"',
    "é",
    "\u0663",
    "\u00a0",
    "\u2028",
    "\x1f",
    "\x85",
    "\v",
    "🎈",
    "\x00",
    "&amp;",
    "<![CDATA[",
    "]]>",
    "f",
    "g",
    "s",
    "n",
    "name",
    "arguments",
    "parameters",
    '{"name": "f", "arguments": {"s": "x"}}',
    '{"arguments": {"s": "x"}, "name": "f"}',
    '"name": "f"',
    '"parameters": "{\\"s\\": 1}"',
    'f(s="x", n=1)',
    "[f(s='a'), g()]",
    "[" * 30,
    '{"a":' * 30,
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
)


@cache
def words_of(name: str) -> tuple[str, ...]:
    """Return the literals of the format `name`."""
    form = get_parser(name).format
    found = {word for part in (form.bodies, form.thinking, form.framing) for word in _words(part)}
    frames = (form.reasoning_frame, form.content_frame, form.calls_frame, form.turn)
    found |= {word for part in frames for word in _words(part)}
    return tuple(sorted({word.replace("{name}", "f") for word in found if _plain(word)}))


def _plain(word: str) -> bool:
    """Whether `word` is a literal and not a regular expression."""
    return bool(word) and not re.search(r"\(\?|\\[swdA-Z|<]|\[\^", word)


def _words(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield from (part, *_literal_runs(part))
    elif isinstance(part, re.Pattern):
        yield from _literal_runs(part.pattern)
    elif isinstance(part, dict):
        yield from part
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from _words(getattr(part, field.name))
    elif isinstance(part, tuple | list | frozenset):
        for one in part:
            yield from _words(one)


def _literal_runs(pattern: str) -> list[str]:
    """Return the stretches of plain characters in a regular expression."""
    try:
        tree = _parser.parse(pattern)
    except re.error:
        return []
    runs: list[str] = [""]

    def walk(node: Any) -> None:
        for op, argument in node:
            if str(op) == "LITERAL":
                runs[-1] += chr(argument)
                continue
            runs.append("")
            pending = [argument]
            while pending:
                inner = pending.pop()
                if isinstance(inner, _parser.SubPattern):
                    walk(inner)
                    runs.append("")
                elif isinstance(inner, tuple | list):
                    pending += reversed(inner)

    walk(tree)
    return [run for run in runs if run]
