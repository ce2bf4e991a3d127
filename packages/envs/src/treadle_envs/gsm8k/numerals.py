"""Reading a short answer as an exact number, and comparing answers as text.

Pure functions. `read_number` understands what people write around a number in an answer: thousands
separators, currency, a unit in words, percent, fractions (plain, LaTeX, mixed), signs, trailing
zeros, `million` and the like. It returns None for anything it isn't sure of: sums, equations,
variables, several numbers.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

_MAX_CHARACTERS = 300
"""Longer answers are left to the other comparisons: they are no dressed number."""

_LATEX_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_LATEX_SPACE = re.compile(r"\\(?:[,;:!> ]|(?:quad|qquad|left|right)\b)|~")
_CURRENCY = re.compile(r"\\?\$|[£€¥₹]|\b(?:USD|EUR|GBP|US)(?=[\s\d])")
_SPACED_THOUSANDS = re.compile(r"(?<![\d.,/])\d{1,3}(?: \d{3})+(?![\d,/])")

_FRACTION = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<whole>\d+)\s*(?=\\)|(?P<whole_words>\d+)\s+(?=\d))?"
    r"(?:\\[dt]?frac\s*(?P<latex_top>\{\s*\d+\s*\}|\d)\s*(?P<latex_bottom>\{\s*\d+\s*\}|\d)"
    r"|(?P<top>\d+)\s*/\s*(?P<bottom>\d+))(?P<rest>.*)",
    re.DOTALL | re.ASCII,
)
_DECIMAL = re.compile(
    r"(?P<sign>[+-]?)(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?P<rest>.*)",
    re.DOTALL | re.ASCII,
)
_UNIT = re.compile(r"(?:[^\W\d_]|[\s.'’°²³-]|\([^\W\d_]*\)|(?<=[^\W\d_])/(?=[^\W\d_]))*")
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_VARIABLES = frozenset("abcinxyzπ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """An exact value, and whether it was written as a percentage."""

    value: Fraction
    percent: bool = False


def read_number(text: str) -> Number | None:
    """Read an answer as one number with its dressing; None when it is anything else."""
    if len(text) > _MAX_CHARACTERS:
        return None
    plain = _undress(text)
    match = _FRACTION.fullmatch(plain)
    magnitude = _fraction(match) if match else None
    if match is None:
        match = _DECIMAL.fullmatch(plain)
        magnitude = Fraction(_decimal_text(match["digits"])) if match else None
    if match is None or magnitude is None:
        return None
    rest: str = match["rest"].strip()
    percent = rest.startswith("%") or rest.startswith("percent")
    scale = _unit_scale(rest.removeprefix("%"))
    if scale is None:
        return None
    sign = -1 if match["sign"] == "-" else 1
    return Number(value=sign * magnitude * scale, percent=percent)


def same_number(left: Number, right: Number) -> bool:
    """Whether two answers name one value; `50%` matches both 50 and 0.5."""
    if left.value == right.value:
        return True
    if left.percent == right.percent:
        return False
    percent, plain = (left, right) if left.percent else (right, left)
    return percent.value == plain.value * 100


def same_text(left: str, right: str) -> bool:
    """Whether two answers are the same text once dressing, case and spaces are gone."""
    return _compact(left) == _compact(right) != ""


def _fraction(match: re.Match[str]) -> Fraction | None:
    whole = int(match["whole"] or match["whole_words"] or 0)
    top = int((match["latex_top"] or match["top"]).strip("{} \n\t"))
    bottom = int((match["latex_bottom"] or match["bottom"]).strip("{} \n\t"))
    return whole + Fraction(top, bottom) if bottom else None


def _decimal_text(digits: str) -> str:
    return "0" + digits.replace(",", "").rstrip(".")


def _unit_scale(unit: str) -> int | None:
    """Return what the words after the number multiply it by; None when they are no unit."""
    words = unit.strip()
    if _UNIT.fullmatch(words) is None or words.startswith("-") or words in _VARIABLES:
        return None
    first = words.split(maxsplit=1)[0].casefold() if words else ""
    return _SCALES.get(first, 1)


def _undress(text: str) -> str:
    plain = text.strip().replace("\u2212", "-").replace("\u00a0", " ")
    plain = plain.replace("{,}", ",").replace("\\%", "%").replace("\\!", "")
    previous = None
    while previous != plain:
        previous, plain = plain, _LATEX_TEXT.sub(r" \1 ", plain)
    plain = _CURRENCY.sub(" ", _LATEX_SPACE.sub(" ", plain))
    plain = _SPACED_THOUSANDS.sub(lambda match: match[0].replace(" ", ""), plain)
    plain = re.sub(r"^([+-])\s+", r"\1", plain.strip())
    return plain.rstrip(".").strip()


def _compact(text: str) -> str:
    plain = re.sub(r"\s+", "", _undress(text)).casefold()
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", plain)
