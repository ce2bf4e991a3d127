"""One format as a page: everything on it is read from its description or found by running it."""

import ast
import json
import re
from collections.abc import Iterator

from format_rules import rules_of

from treadle_parsers import (
    CallStatus,
    Format,
    ParsedMessage,
    Span,
    ToolCall,
    detect,
    get_parser,
)
from treadle_parsers.detection import evidence_of, model_ids_of
from treadle_parsers.traits import Typing, typing_of

CONTENT = "I look both up."
REASONING = "Weather first, then shops."
CALLS = (
    ("get_weather", {"city": "Paris", "days": 2}),
    ("find_shops", {"query": "umbrellas", "tags": ["near", "open"], "cheap": True}),
)
TOOLS = """\
tools = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "find_shops",
            "parameters": {
                "type": "object",
                "properties": {
                    "query": {"type": "string"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "cheap": {"type": "boolean"},
                },
                "required": ["query", "tags", "cheap"],
            },
        },
    },
]
"""
_WIDTH = 80
_LINE = 100
_TYPED = {
    Typing.JSON: "The model writes JSON. Its text is the argument; a schema only checks it.",
    Typing.PYTHON: "The model writes Python literals, which become JSON; a schema only checks it.",
    Typing.NOTATION: "Strings are delimited. A bare value takes its type from the schema, or from "
    "how it looks without one: pass `tools=`.",
    Typing.TAG: "The tag of an argument says its type. Where it says nothing, the schema decides.",
    Typing.SCHEMA: "Bare text between tags: the tool's schema gives the types, so pass `tools=`. "
    "Without it every bare value is a string.",
    Typing.TEXT: "Bare text between tags, JSON wherever it can be, whatever the schema says.",
    Typing.BODY: "As the format's own body decides.",
}


def page(form: Format, rules: dict[int, str]) -> str:
    """Return the page of `form`; `rules` are the numbered titles of the page of rules."""
    parser = get_parser(form.name)
    tools = ast.literal_eval(TOOLS.removeprefix("tools = "))
    text = parser.render(_calls(), content=CONTENT, reasoning=REASONING)
    message = parser.parse(text, tools)
    triggers = parser.structural_tag(tools)["format"]["triggers"]
    parts = [
        f"# {form.name}",
        "<!-- Written by docs/generate.py from the format's description. -->",
        f"{form.models[:1].upper()}{form.models[1:]}.",
        "\n".join(_facts(form)),
        *(f"> {note}" for note in form.notes),
        f"## Example\n\n{_fenced(text, 'text')}",
        _fenced(_code(form, text, message, triggers), "python"),
        *_dialects(form),
        f"## Values\n\n{_values(form, parser.parse(text), message)}",
        f"## Thinking\n\n{_thinking(form)}",
        "## Markers\n\n" + "\n".join(_markers(form)),
        "## Detection\n\n" + "\n".join(_detection(form, text)),
        "## Rules\n\n[The rules](../typing.md) that decide its contested cases:\n\n"
        + "\n".join(
            f"- {number}: {rules[number].rstrip(':')}" for number in rules_of(form, message, rules)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _dialects(form: Format) -> Iterator[str]:
    if not form.dialects:
        return
    yield (
        "## Dialects\n\nOther ways of writing the same format, for `render`, `structural_tag` and "
        "`gbnf` with `dialect=`; all are [read alike](../rendering.md)."
    )
    parser = get_parser(form.name)
    calls = parser.parse(parser.render(_calls())).tool_calls  # with ids, which some dialects write
    for dialect in form.dialects:
        text = parser.render(calls, content=CONTENT, reasoning=REASONING, dialect=dialect.name)
        yield f"`{dialect.name}`: {dialect.models}.\n\n{_fenced(text, 'text')}"


def _calls() -> list[ToolCall]:
    return [
        ToolCall(
            name=name,
            arguments=json.dumps(arguments),
            id="",
            index=index,
            status=CallStatus.OK,
            span=Span(start=0, end=0),
            raw="",
        )
        for index, (name, arguments) in enumerate(CALLS)
    ]


def _facts(form: Format) -> Iterator[str]:
    names = ", ".join(map(_span, (form.name, *form.aliases)))
    yield f"- Names: {names}"
    yield f"- A call: {_span(form.summary)}"
    yield f"- Types: {'from `tools=`' if typing_of(form).needs_schema else 'without `tools=`'}"
    yield "- Grammars: xgrammar structural tag, GBNF"


def _code(form: Format, text: str, message: ParsedMessage, triggers: list[str]) -> str:
    pieces = [piece for line in text.splitlines(keepends=True) for piece in _pieces(line)]
    lines = "\n".join(f"    {_literal(piece)}" for piece in pieces)
    calls = "".join(_pair(call) for call in message.tool_calls)
    ids = "".join(f"    {_literal(call.id)},\n" for call in message.tool_calls)
    begun = "".join(f"\n    {_literal(one)},\n" for one in triggers)
    return (
        "from treadle_parsers import get_parser\n\n"
        f"{TOOLS}text = (\n{lines}\n)\n"
        f"parser = get_parser({_literal(form.name)})\n"
        "message = parser.parse(text, tools)\n"
        f"assert message.reasoning == {_literal(message.reasoning)}\n"
        f"assert message.content == {_literal(message.content)}\n"
        f"assert [(call.name, call.arguments) for call in message.tool_calls] == [\n{calls}]\n"
        f"assert [call.id for call in message.tool_calls] == [\n{ids}]\n"
        'assert all(call.status == "ok" for call in message.tool_calls)\n'
        f'assert parser.structural_tag(tools)["format"]["triggers"] == [{begun}]\n'
        'assert parser.gbnf(tools).startswith("root ::= ")'
        f"{_DIALECTS if form.dialects else ''}"
    )


_DIALECTS = """
for dialect in parser.format.dialects:
    again = parser.parse(parser.render(message.tool_calls, dialect=dialect.name), tools)
    assert [call.name for call in again.tool_calls] == ["get_weather", "find_shops"]
    assert all(call.status == "ok" for call in again.tool_calls)"""
"""What is checked of every dialect."""


def _pieces(line: str) -> list[str]:
    """Cut a line of a text before tags, brackets and words, so that its source stays readable."""
    pieces = [""]
    for part in re.split(r"(?=<|\[)|(?<= )", line):
        if len(pieces[-1]) + len(part) > _WIDTH and pieces[-1]:
            pieces.append("")
        pieces[-1] += part
    return pieces


def _pair(call: ToolCall) -> str:
    """Return the name and the arguments of a call as Python source, on one line if they fit."""
    name, arguments = _literal(call.name), _literal(call.arguments)
    line = f"    ({name}, {arguments}),\n"
    fits = len(line) <= _LINE
    return line if fits else f"    (\n        {name},\n        {arguments},\n    ),\n"


def _literal(text: str) -> str:
    """Return `text` as Python source, in the quotes that need fewer escapes."""
    source = json.dumps(text, ensure_ascii=False)
    if text.count('"') <= text.count("'"):
        return source
    return "'" + source[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def _values(form: Format, untyped: ParsedMessage, typed: ParsedMessage) -> str:
    said = _TYPED[typing_of(form)]
    plain = [call.arguments for call in untyped.tool_calls]
    if plain == [call.arguments for call in typed.tool_calls]:
        return f"{said} The example reads the same without `tools=`."
    return f"{said} The example without `tools=`:\n\n" + _fenced("\n".join(plain), "json")


def _thinking(form: Format) -> str:
    frame = form.reasoning_frame
    if frame.open:
        said = f"Reasoning is a message of its own: {_span(frame.open)} ... {_span(frame.close)}."
    elif form.thinking:
        blocks = [f"{_span(one.open)} ... {_span(one.close)}" for one in form.thinking]
        said = f"Between {', or '.join(blocks)}; `prefix=` says that the prompt has opened it."
    else:
        return "The format has none; reasoning is not rendered."
    inside = "a call, and ends it" if form.calls_in_thinking else "a quotation"
    return f"{said} A call inside it is {inside}." if form.thinking else said


def _markers(form: Format) -> Iterator[str]:
    openers = dict.fromkeys(one for body in form.bodies for one in body.openers)
    closers = dict.fromkeys(one for body in form.bodies for one in body.strays)
    frames = [(frame.open, frame.close) for frame in (form.content_frame, form.calls_frame)]
    framing = dict.fromkeys([*form.framing, *(one for pair in frames for one in pair if one)])
    for label, literals in (
        ("begin calls", openers),
        ("framing outside of calls", closers),
        ("framing everywhere", framing),
        (
            "missing at the beginning when the prompt ends with it",
            form.first.openers if form.first else (),
        ),
    ):
        if literals:
            yield f"- {label}: {', '.join(map(_span, literals))}"


def _detection(form: Format, text: str) -> Iterator[str]:
    marks = evidence_of(form)
    if marks:
        yield f"- a chat template that holds {', '.join(map(_span, marks))}"
    else:
        yield "- no chat template: its markers don't tell it from other formats"
    ids = model_ids_of(form)
    yield f"- model ids: {', '.join(map(_span, ids)) or 'none'}"
    found = detect(text=text)
    others = ", ".join(_span(name) for name in found.candidates if name != form.name)
    yield f"- the example: {f'also fits {others}' if others else 'fits no other format as well'}"


def _span(text: str) -> str:
    """Return `text` as a code span."""
    shown = text.replace("\r", "\\r").replace("\n", "\\n")
    runs = [len(run) for run in re.findall("`+", shown)]
    fence = "`" * next(size for size in range(1, 9) if size not in runs)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _fenced(text: str, language: str) -> str:
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * max(3, *(size + 1 for size in runs), 3)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"
