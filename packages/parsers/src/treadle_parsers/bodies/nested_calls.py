"""Calls whose arguments are nested elements, every tag with a mark before it.

    ]<]minimax[>[<tool_call>
    ]<]minimax[>[<invoke name="f">]<]minimax[>[<x>1]<]minimax[>[</x>]<]minimax[>[</invoke>
    ]<]minimax[>[</tool_call>

A string argument flows while it is written; any other waits for its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from treadle_parsers import coercion, elements, jsontext, schema
from treadle_parsers.cursor import Steps
from treadle_parsers.errors import RenderError
from treadle_parsers.jsonwrite import arguments_text
from treadle_parsers.lookahead import partly
from treadle_parsers.nestedread import NestedArguments, NestedRules
from treadle_parsers.reading import Reading
from treadle_parsers.records import ToolCall
from treadle_parsers.shapes import (
    Choice,
    Json,
    Literal,
    Repeated,
    Shape,
    ToolShape,
    arguments,
    choice,
    sequence,
    text_until,
)
from treadle_parsers.tagged import name_of

_BAD_KEY = set("<>/ \n\t\r\"'")


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedCalls(NestedRules):
    """A body: a block of calls, each with elements for its arguments."""

    @property
    def openers(self) -> tuple[str, ...]:
        """What opens a block, and a call."""
        return (f"{self.mark}<tool_call>", f"{self.mark}<invoke")

    @property
    def strays(self) -> tuple[str, ...]:
        """What closes them."""
        return (f"{self.mark}</tool_call>", f"{self.mark}</invoke>")

    def follow(self, opener: str) -> str:
        """Return what must follow the opening of a block: that of a call."""
        block, invoke = self.openers
        return partly(invoke) if opener == block else ""

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read a call, or pass the opening of a block when one follows."""
        cursor = reading.cursor
        block, invoke = self.openers
        if opener == block:
            found = yield from cursor.looking_at(invoke)
            return found or cursor.may_reach(invoke)
        named = yield from self.head.look(cursor, 0)
        if named is None:
            return False
        cursor.at = named.end()
        call = reading.draft.call(start)
        name = name_of(named)
        if name:
            call.begin(name)
        yield from NestedArguments(self, reading, call).read()
        return True

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools`."""
        options = [
            sequence(
                Literal(f'{self.mark}<invoke name="{tool.name}">'),
                arguments(tool, self._element_shape),
                Literal(f"{self.mark}</invoke>\n"),
            )
            for tool in tools
        ]
        begin, end = Literal(f"{self.mark}<tool_call>\n"), Literal(f"{self.mark}</tool_call>")
        return sequence(begin, Repeated(choice(options), ""), end)

    def _element_shape(self, key: str, declared: schema.Schema, root: schema.Schema) -> Shape:
        opened, closed = Literal(f"{self.mark}<{key}>"), f"{self.mark}</{key}>"
        allowed = schema.types(declared, root)
        current = schema.resolved(declared, root)
        if coercion.is_text(declared, root):
            return sequence(opened, text_until(closed, declared, root))
        if allowed == frozenset({"array"}) and current.get("items"):
            items = schema.mapping(current["items"])
            item = self._element_shape(elements.ITEM, items, root)
            inner: Shape = Choice((Repeated(item, ""), Literal("")))
        elif allowed == frozenset({"object"}) and current.get("properties"):
            whole = ToolShape("", {**current, "$defs": root.get("$defs", {})})
            inner = arguments(whole, self._element_shape)
        else:
            inner = Json(declared, root)
        return sequence(opened, inner, Literal(closed))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the calls in one block. Raises: RenderError."""
        written: list[str] = []
        for call in calls:
            value = jsontext.load(arguments_text(call))
            if isinstance(value, jsontext.TooDeep) or _BAD_KEY & set(call.name):
                raise RenderError(f"{call.name!r} or its arguments can't be written as elements")
            inner = self._children(cast("dict[str, Any]", value))
            written.append(f'{self.mark}<invoke name="{call.name}">{inner}{self.mark}</invoke>\n')
        return f"{self.mark}<tool_call>\n{''.join(written)}{self.mark}</tool_call>"

    def _children(self, values: dict[str, Any]) -> str:
        return "".join(self._element(key, value) for key, value in values.items())

    def _element(self, key: str, value: Any) -> str:
        if not key or _BAD_KEY & set(key):
            raise RenderError(f"{key!r} can't be written as the name of an element")
        if isinstance(value, dict):
            inner = self._children(cast("dict[str, Any]", value))
        elif isinstance(value, list):
            inner = "".join(self._element(elements.ITEM, one) for one in cast("list[Any]", value))
        else:
            inner = value if isinstance(value, str) else coercion.encode(value)
        return f"{self.mark}<{key}>{inner}{self.mark}</{key}>"
