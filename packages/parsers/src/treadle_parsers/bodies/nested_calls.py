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
from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.errors import RenderError
from treadle_parsers.jsonwrite import arguments_text
from treadle_parsers.lookahead import partly
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, ToolCall
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
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head, name_of

_BAD_KEY = set("<>/ \n\t\r\"'")


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedCalls:
    """A body: a block of calls, each with elements for its arguments."""

    mark: str
    """What stands before every tag."""

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
        head = Head(open=invoke, rest=NAME_ATTRIBUTE + r"[^>]*>", end=">", write="")
        named = yield from head.look(cursor, 0)
        if named is None:
            return False
        cursor.at = named.end()
        call = reading.draft.call(start)
        name = name_of(named)
        if name:
            call.begin(name)
        yield from _Elements(self, reading, call).read()
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


class _Elements:
    """The arguments of one call while they are read."""

    __slots__ = ("_any", "_body", "_broken", "_call", "_pattern", "_reading", "_root")

    def __init__(self, body: NestedCalls, reading: Reading, call: CallDraft) -> None:
        self._body = body
        self._reading = reading
        self._call = call
        self._root = reading.tools.schema(call.name)
        self._pattern = elements.tags(body.mark)
        self._any = False
        self._broken = False

    def read(self) -> Steps[None]:
        """Read elements up to the end of the call and close its record."""
        cursor, mark = self._reading.cursor, self._body.mark
        marks = Markers((mark,))
        while True:
            char = yield from cursor.skip_space()
            if not char:
                self._finish(complete=False)
                return
            if not (yield from cursor.looking_at(mark)):
                self._broken = True
                if cursor.ended and mark.startswith(cursor.buffer[cursor.at :]):
                    cursor.at = len(cursor.buffer)
                    self._broken = False
                else:
                    yield from cursor.skip_to(marks)
                continue
            tag = yield from self._tag()
            if tag in (f"{mark}</invoke>", f"{mark}</tool_call>", f"{mark}<tool_call>"):
                if tag == f"{mark}</invoke>":
                    cursor.at += len(tag)
                self._finish(complete=True)
                return
            found = self._pattern.fullmatch(tag)
            if tag.startswith(f"{mark}<invoke"):
                self._finish(complete=True)
                return
            cursor.at += len(tag) if found else len(mark)
            if found and not found[1] and not (yield from self._argument(found[2])):
                return

    def _tag(self) -> Steps[str]:
        """Return the tag at the cursor, as far as there is one."""
        cursor = self._reading.cursor
        while True:
            stop = cursor.buffer.find(">", cursor.at + len(self._body.mark), cursor.at + 300)
            if stop >= 0:
                return cursor.buffer[cursor.at : stop + 1]
            if cursor.ended or len(cursor.buffer) - cursor.at >= 300:
                return cursor.buffer[cursor.at : cursor.at + len(self._body.mark)]
            yield

    def _finish(self, *, complete: bool) -> None:
        if not complete and not self._any:
            self._reading.close_call(self._call, CallStatus.TRUNCATED)
            return
        self._call.add("}" if self._any else "{}")
        status = CallStatus.INVALID_JSON if self._broken else None
        self._reading.close_call(self._call, status, complete=complete)

    def _argument(self, key: str) -> Steps[bool]:
        """Read one argument; False when the text ended in it."""
        call, cursor, mark = self._call, self._reading.cursor, self._body.mark
        call.add((", " if self._any else "{") + coercion.encode(key) + ": ")
        self._any = True
        declared = schema.property_schema(self._root, key, self._root)
        string = coercion.is_text(declared, self._root)
        if string and not declared:
            string = not (yield from cursor.looking_at(f"{mark}<"))
            closing = yield from cursor.looking_at(f"{mark}</")
            string = string or closing
        closed = yield from self._text(key, declared, string=string)
        if not closed:
            self._reading.close_call(call, CallStatus.TRUNCATED)
        return closed

    def _text(self, key: str, declared: schema.Schema | None, *, string: bool) -> Steps[bool]:
        call, cursor, mark = self._call, self._reading.cursor, self._body.mark
        opened, closed = f"{mark}<{key}>", f"{mark}</{key}>"
        around = (f"{mark}</invoke>", f"{mark}<invoke ", f"{mark}</tool_call>")
        markers = Markers((opened, closed, *around))
        parts: list[str] = []
        depth = 1
        if string:
            call.add('"')
        while True:
            found = markers.search(cursor)
            stop = found.start() if found else markers.held_from(cursor)
            if found is None and cursor.ended:
                stop = len(cursor.buffer)
            marker = found.group() if found else ""
            if marker:
                depth += (marker == opened and not string) - (marker == closed)
            ends = bool(marker) and (depth == 0 or marker in around)
            kept = marker if not ends else ""
            text = cursor.buffer[cursor.at : stop] + kept
            if string:
                call.add(coercion.encode(text)[1:-1])
            else:
                parts.append(text)
            cursor.at = stop + len(kept) + (len(marker) if ends and marker == closed else 0)
            if ends:
                break
            if found is None:
                if cursor.ended:
                    call.add("".join(parts))
                    return False
                yield
        if string:
            call.add('"')
        else:
            call.add(elements.to_json("".join(parts), self._pattern, declared, self._root))
        return True
