"""Reading answers as exact numbers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_envs.gsm8k.numerals import Number, read_number, same_number, same_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", 18),
        ("18.00", 18),
        ("18.", 18),
        (".5", Fraction(1, 2)),
        ("1,800", 1800),
        ("1{,}800", 1800),
        ("1 800", 1800),
        ("1\\,800", 1800),
        ("\\$1,800.50", Fraction(3601, 2)),
        ("$18$", 18),
        ("-\\$5", -5),
        ("- 5", -5),
        ("\u22125", -5),
        ("+5", 5),
        ("€5", 5),
        ("USD 5", 5),
        ("18 \\text{ apples}", 18),
        ("\\text{18 apples}", 18),
        ("18 dollars per day", 18),
        ("65\\ \\text{miles/hour}", 65),
        ("18 egg(s)", 18),
        ("\\frac{1}{2}", Fraction(1, 2)),
        ("\\dfrac12", Fraction(1, 2)),
        ("-\\frac{3}{4}", Fraction(-3, 4)),
        ("3/4", Fraction(3, 4)),
        ("1\\frac{1}{2}", Fraction(3, 2)),
        ("1 1/2 hours", Fraction(3, 2)),
        ("2 million", 2_000_000),
    ],
)
def test_a_dressed_number_is_read_exactly(text: str, value: int):
    number = read_number(text)
    assert number is not None
    assert number.value == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eighteen",
        "18x",
        "x = 18",
        "2+16",
        "18 or 19",
        "18, 19",
        "1,80",
        "1,5",
        "10^3",
        "3!",
        "1/0",
        "18-",
        "18 - x",
        "1e3",
        "١٨",
        "9" * 400,
        "18 \\sqrt{2}",
        "1.2.3",
        "18/day3",
    ],
)
def test_what_isnt_surely_one_number_is_left_alone(text: str):
    assert read_number(text) is None


def test_percent_matches_the_number_and_the_ratio():
    percent = read_number("50\\%")
    assert percent == Number(value=Fraction(50), percent=True)
    assert same_number(percent, Number(value=Fraction(50)))
    assert same_number(Number(value=Fraction(1, 2)), percent)
    assert not same_number(percent, Number(value=Fraction(5)))
    assert not same_number(percent, Number(value=Fraction(1, 2), percent=True))


def test_texts_are_equal_up_to_dressing_case_and_spaces():
    assert same_text("Monday", "\\text{monday}")
    assert same_text("x = 1,000", "x=1000")
    assert not same_text("Monday", "Tuesday")
    assert not same_text("", " ")


@given(st.integers(-(10**15), 10**15), st.sampled_from(["{:d}", "{:,d}", "${:,d}", "{:,d} pies"]))
def test_every_integer_is_read_in_every_dress(value: int, dress: str):
    number = read_number(dress.format(value))
    assert number is not None
    assert number.value == value


@given(st.text(max_size=400))
def test_no_text_raises(text: str):
    number = read_number(text)
    assert number is None or number.value == number.value
    assert same_text(text, text) in (True, False)
