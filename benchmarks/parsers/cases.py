"""What is parsed: one tool call with a large argument, written in every registered format.

Two shapes: a string argument that holds code (quotes, brackets, escapes, less-than signs) and an
array of numbers. The size is that of the argument's JSON text.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from treadle_parsers import CallStatus, Format, Span, ToolCall, get_parser, list_parsers

_MARKER = re.compile(
    r'<\|"\|>|\]<\]minimax\[>\[|｜DSML｜|｜GCML｜|\[[A-Z_]{3,}\]'
    r"|</?[|｜]?[A-Za-z][^<>\s=\"'()]{1,60}>"
)
"""What the models' vocabularies hold as one token in the rendered texts."""

_LINES = (
    "def area(width, height=2.5):\n",
    '    """Return the area, or None."""\n',
    "    if width < 0 or height <= 0:\n",
    '        return {\'error\': ["negative", width], "ok": False}\n',
    "    print(f'{width} x {height}\\t= {width * height}')\n",
    "    return width * height\n\n",
)


class Shape(StrEnum):
    """The kind of the large argument."""

    STRING = "string"
    """A string of Python code."""
    ARRAY = "array"
    """An array of numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One text to parse and what it says."""

    format: str
    shape: Shape
    size: int
    """Characters of the argument, about."""
    text: str
    arguments: dict[str, Any]
    tools: list[dict[str, Any]]
    markers: list[str]
    """The special tokens that the text holds."""


def all_formats() -> list[Format]:
    """Return every registered format once, by name."""
    forms = {form.name: form for form in (get_parser(name).format for name in list_parsers())}
    return [forms[name] for name in sorted(forms)]


def make_case(form: Format, shape: Shape, size: int) -> Case:
    """Render a call with an argument of about `size` characters in `form`."""
    key = "code" if shape is Shape.STRING else "values"
    arguments = {key: _code(size) if shape is Shape.STRING else _numbers(size)}
    name = "write_file" if shape is Shape.STRING else "plot_values"
    call = ToolCall(
        name=name,
        arguments=json.dumps(arguments),
        id=f"functions.{name}:0" if form.name == "kimi_k2" else "a1B2c3D4e",
        index=0,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )
    text = get_parser(form.name).render([call])
    head, tail = text[:2000], text[-2000:]
    return Case(
        format=form.name,
        shape=shape,
        size=size,
        text=text,
        arguments=arguments,
        tools=[_tool(name, key, shape)],
        markers=sorted({*_MARKER.findall(head), *_MARKER.findall(tail)}),
    )


def _code(size: int) -> str:
    block = "".join(_LINES)
    return (block * (size // len(block) + 1))[:size]


def _numbers(size: int) -> list[float]:
    values: list[float] = []
    written = 0
    while written < size:
        number = len(values)
        value = number * 7919 % 100003 if number % 3 else number % 997 / 8 - 50
        values.append(value)
        written += len(str(value)) + 2
    return values


def _tool(name: str, key: str, shape: Shape) -> dict[str, Any]:
    kind: dict[str, Any] = (
        {"type": "string"}
        if shape is Shape.STRING
        else {"type": "array", "items": {"type": "number"}}
    )
    parameters = {"type": "object", "properties": {key: kind}, "required": [key]}
    function = {"name": name, "description": "A tool.", "parameters": parameters}
    return {"type": "function", "function": function}
