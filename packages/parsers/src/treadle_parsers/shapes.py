"""What a format's calls look like, as a tree: the common source of the grammar exports.

A body returns the shape of its calls for a set of tools. `structural_tag` turns shapes into
xgrammar's JSON and `gbnf` into llama.cpp's grammar, so that what is generated under a grammar is
what the parser of the same description reads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from treadle_parsers import coercion, schema
from treadle_parsers.schema import Schema


@dataclass(frozen=True, slots=True)
class Literal:
    """This text."""

    text: str


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value that fits `schema`; references lead into `root`."""

    schema: Mapping[str, Any]
    root: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RawText:
    """Any text up to and including `stop`."""

    stop: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text that a pattern describes."""

    regex: str
    gbnf: str


@dataclass(frozen=True, slots=True)
class Sequential:
    """The parts, one after the other."""

    parts: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the options."""

    options: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """One item or more, `separator` between them."""

    item: "Shape"
    separator: str


Shape: TypeAlias = Literal | Json | RawText | Pattern | Sequential | Choice | Repeated

EMPTY = Literal("")
NUMBER = Pattern("[0-9]{1,3}", "[0-9]{1,3}")
"""The number of a call."""


@dataclass(frozen=True, slots=True)
class ToolShape:
    """A tool as a shape needs it."""

    name: str
    parameters: Schema


def sequence(*parts: Shape) -> Shape:
    """Join `parts`, merging neighbouring literals."""
    joined: list[Shape] = []
    for part in parts:
        inner = part.parts if isinstance(part, Sequential) else (part,)
        for one in inner:
            if isinstance(one, Literal) and joined and isinstance(joined[-1], Literal):
                joined[-1] = Literal(joined[-1].text + one.text)
            elif one != EMPTY:
                joined.append(one)
    if not joined:
        return EMPTY
    return joined[0] if len(joined) == 1 else Sequential(tuple(joined))


def choice(options: Sequence[Shape]) -> Shape:
    """Offer `options`."""
    return options[0] if len(options) == 1 else Choice(tuple(options))


def text_until(close: str, declared: Schema, root: Schema) -> Shape:
    """Return the text of a string argument and its `close`: any text, or one of the listed
    values.
    """
    listed = schema.allowed_values(declared, root)
    if listed:
        return choice([Literal(f"{value}{close}") for value in listed])
    return RawText(close)


def optional(part: Shape) -> Shape:
    """Offer `part` or nothing."""
    return Choice((part, EMPTY))


def json_call(tool: ToolShape, name_key: str, arguments_key: str, *, keyed: bool = False) -> Shape:
    """Return the object that holds the name and the arguments of a call."""
    arguments = Json(tool.parameters or {"type": "object"}, tool.parameters)
    if keyed:
        return sequence(Literal("{" + coercion.encode(tool.name) + ": "), arguments, Literal("}"))
    name = f"{coercion.encode(name_key)}: {coercion.encode(tool.name)}"
    begin = "{" + name + f", {coercion.encode(arguments_key)}: "
    return sequence(Literal(begin), arguments, Literal("}"))


Argument: TypeAlias = Callable[[str, Schema, Schema], Shape]
"""Makes the shape of one argument: from its key, its schema and the whole schema."""


def arguments(tool: ToolShape, one: Argument, *, separator: str = "", sort: bool = False) -> Shape:
    """Return the arguments of `tool`: in alphabetical order if `sort`, else those that must be
    there first, each kind in the schema's order.
    """
    root = tool.parameters
    needed = schema.required(root, root)
    properties = schema.mapping(schema.resolved(root, root).get("properties"))
    order = sorted(properties, key=str.lower if sort else lambda key: str(key not in needed))
    shapes = {key: one(key, schema.resolved(properties[key], root), root) for key in order}
    lead = Literal(separator)

    def after(place: int) -> list[Shape]:
        rest = [(key, sequence(lead, shapes[key])) for key in order[place + 1 :]]
        return [part if key in needed else optional(part) for key, part in rest]

    if not separator:
        return sequence(*(shapes[key] if key in needed else optional(shapes[key]) for key in order))
    starts: list[Shape] = []
    for place, key in enumerate(order):
        starts.append(sequence(shapes[key], *after(place)))
        if key in needed:
            return choice(starts)
    return Choice((*starts, EMPTY)) if starts else EMPTY
