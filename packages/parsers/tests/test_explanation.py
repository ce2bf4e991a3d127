"""Explanations of any text: nothing is lost, nothing reaches the terminal, rows fit."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from treadle_parsers import get_parser
from treadle_parsers.cli.explanation import Look, explain

MARGIN = 19
JSON = '{"name": "f", "arguments": {}}'
words = st.sampled_from(["<tool_call>", "</tool_call>", JSON, "<think>", "</think>", "\n", " "])
texts = st.lists(words | st.text(max_size=20), max_size=12).map("".join)
unhurried = settings(deadline=None)


def rows(text, **options):
    message = get_parser("hermes").parse(text)
    look = Look(**options)
    return list(explain(message, "hermes", {}, look))[3:]


@unhurried
@given(texts, st.integers(40, 100))
def test_no_row_holds_a_control_character_and_ascii_is_ascii(text, width):
    shown = rows(text, width=width, ascii=True)
    assert all(row.isprintable() and row.isascii() for row in shown)
    assert all(row.isprintable() for row in rows(text, width=width))
    longest = max(map(len, shown), default=0)
    assert longest <= max(width, MARGIN + 20)


@unhurried
@given(texts.filter(lambda text: "= " not in text))
def test_the_rows_spell_the_text(text):
    parts = [row[MARGIN:] for row in rows(text, width=10_000, ascii=True)]
    shown = "".join(part for part in parts if not part.startswith("= "))
    written = text.encode("unicode_escape").decode().replace("\\\\", "\\")
    assert shown.replace("\\x20", " ") == written.replace("\\x20", " ")


@unhurried
@given(texts)
def test_colour_changes_nothing_but_the_colour(text):
    plain = rows(text, width=60)
    coloured = rows(text, width=60, colour=True)
    assert [re.sub("\x1b\\[[0-9;]*m", "", row) for row in coloured] == plain


def test_a_call_in_the_prefix_is_told_first():
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    begun = "<|im_start|>assistant\n" + call + "\n" + call[:20]
    message = get_parser("hermes").parse(call[20:], prefix=begun)
    shown = list(explain(message, "hermes", {}, Look()))[3:]
    assert shown[:2] == ["prefix  call 0", " " * MARGIN + "= ok: f {}"]
    assert shown[2].startswith("     0  call 1")
