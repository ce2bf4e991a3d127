"""One input of the fuzzer: a text and everything around it that a parser is told.

A case travels in two forms. As bytes, for the fuzzing engine: a line of fields, then the text;
every byte string is a case. As a JSON line, for the corpus in the repository: readable, and
independent of the order in which formats are registered. `repeat` writes a stretch of the text
many times, so that a short case can stand for a long input.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from treadle_parsers import get_parser, list_parsers

LONGEST = 60_000
"""Most characters of an expanded text."""

FORMATS: tuple[str, ...] = tuple(sorted({get_parser(name).name for name in list_parsers()}))
REASONS: tuple[str | None, ...] = (None, "stop", "length")
PREFIXES: tuple[str, ...] = ("", "open", "begun", "closed", "turn")
"""What the prompt ends with: nothing, an open thinking block, one with words in it, a block that
is closed again, the header of a turn."""

_WIDE = {
    "type": "object",
    "properties": {
        "s": {"type": "string"},
        "n": {"type": "integer"},
        "b": {"type": "boolean"},
        "a": {"type": "array", "items": {"type": "number"}},
        "o": {"type": "object", "properties": {"s": {"type": "string"}}, "required": ["s"]},
        "u": {"type": ["string", "null"]},
    },
    "required": ["s"],
}
_UNIONS = {
    "type": "object",
    "$defs": {"leaf": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"$ref": "#/x"}]}},
    "properties": {
        "s": {"$ref": "#/$defs/leaf"},
        "n": {"oneOf": [{"type": "number"}, {"enum": ["low", 3, None]}]},
        "b": {"allOf": [{"type": "boolean"}], "nullable": True},
        "a": {"type": "array", "items": {"anyOf": [{"type": "object"}, {"type": "string"}]}},
        "o": {"anyOf": [{"type": "string"}, {"type": "object"}]},
        "u": {"const": "x"},
    },
    "additionalProperties": False,
}
_STRANGE = {"type": 3, "properties": {"s": [], "n": {"type": []}, "o": {"$ref": "#"}}}


def _tools(**schemas: object) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": name, "parameters": schema}}
        for name, schema in schemas.items()
    ]


TOOLS: dict[str, list[dict[str, Any]] | None] = {
    "none": None,
    "wide": _tools(f=_WIDE, g=_WIDE),
    "unions": _tools(f=_UNIONS, g={"$ref": "#/$defs/f", "$defs": {"f": _WIDE}}),
    "bare": _tools(f={}, g=None),
    "strange": [*_tools(f=_STRANGE), {"function": 1}, {}, {"function": {"name": None}}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A text for the parser of `format`."""

    format: str
    text: str
    tools: str = "none"
    prefix: str = ""
    reason: str | None = None
    cuts: int = 0
    """Seed of the way in which the text is cut."""
    repeat: tuple[int, int, int] = (0, 0, 1)
    """`text[start:end]` is written this many times."""

    @property
    def expanded(self) -> str:
        """The text with its repetition written out, cut at `LONGEST`."""
        start, end, times = self.repeat
        unit = self.text[start:end]
        return (self.text[:start] + unit * times + self.text[end:])[:LONGEST]

    @property
    def prompt(self) -> str:
        """The end of the prompt that `prefix` stands for."""
        form = get_parser(self.format).format
        block = form.thinking[0] if form.thinking else None
        opened, closed = (block.open, block.close) if block else ("", "")
        return {
            "": "",
            "open": f"<|im_start|>assistant\n{opened}",
            "begun": f"{opened}hm, well ",
            "closed": f"{opened}done{closed}",
            "turn": f"<|im_start|>user\n{opened}<|im_start|>assistant\n",
        }[self.prefix]


def decoded(data: bytes) -> Case:
    """Return the case that `data` stands for; what a field doesn't say, chance decides."""
    head, _, rest = data.partition(b"\n")
    fields = head.decode("ascii", "replace").split(" ")
    named = dict(one.split("=", 1) for one in fields[1:] if "=" in one)
    draw = zlib.crc32(head)
    try:
        text = rest.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = rest.decode("utf-8", "surrogateescape")
    bounds = [_number(part, len(text)) for part in named.get("r", "").split(",")]
    whole = len(bounds) == 3 and bounds[0] < bounds[1]
    reason = named.get("f", "")
    return Case(
        format=fields[0] if fields[0] in FORMATS else FORMATS[draw % len(FORMATS)],
        text=text,
        tools=named["t"] if named.get("t") in TOOLS else tuple(TOOLS)[draw % len(TOOLS)],
        prefix=named["p"] if named.get("p") in PREFIXES else "",
        reason=reason if reason in REASONS else None,
        cuts=_number(named.get("c", ""), 0xFFFF),
        repeat=(bounds[0], bounds[1], _number(named["r"].split(",")[2], 50_000))
        if whole
        else (0, 0, 1),
    )


def _number(digits: str, most: int) -> int:
    return min(int(digits), most) if digits.isdecimal() and len(digits) < 9 else 0


def encoded(case: Case) -> bytes:
    """Return the bytes that stand for `case`."""
    head = [case.format, f"t={case.tools}", f"c={case.cuts}"]
    head += [f"p={case.prefix}"] if case.prefix else []
    head += [f"f={case.reason}"] if case.reason else []
    head += ["r=" + ",".join(map(str, case.repeat))] if case.repeat[2] != 1 else []
    text = case.text.encode("utf-8", "surrogatepass")
    return " ".join(head).encode() + b"\n" + text


def read_corpus(path: Path) -> list[Case]:
    """Read the cases of a corpus file."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [case_of(row) for row in rows]


def case_of(row: Mapping[str, Any]) -> Case:
    """Return the case that a decoded JSON line holds."""
    fields: dict[str, Any] = {**row, "repeat": tuple(row.get("repeat", (0, 0, 1)))}
    return Case(**fields)


def write_corpus(path: Path, cases: Sequence[Case]) -> None:
    """Write `cases`, sorted, one JSON line each; fields that say nothing are left out."""
    defaults = asdict(Case(format="", text=""))
    always = ("format", "text")
    rows = [
        {key: v for key, v in asdict(case).items() if key in always or v != defaults[key]}
        for case in sorted(set(cases), key=lambda one: (one.format, len(one.text), encoded(one)))
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(lines, encoding="utf-8")
