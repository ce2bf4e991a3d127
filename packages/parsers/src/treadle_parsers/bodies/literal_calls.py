"""Calls of the Gemma models: a name and an object in the models' own notation.

    <|tool_call>call:f{x:<|"|>text<|"|>,n:42}<tool_call|>

A bare value takes the type that the tool's schema gives it; without one it is a number, a boolean
or null where it is written like one, and else a string.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from treadle_parsers import coercion, jsontext, schema
from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.dialects import Dialect
from treadle_parsers.draft import CallDraft
from treadle_parsers.errors import RenderError
from treadle_parsers.jsonvalue import Outcome
from treadle_parsers.jsonwrite import arguments_text
from treadle_parsers.literalread import read_literal
from treadle_parsers.literals import LiteralScan
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
from treadle_parsers.tagged import Head, name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralCalls:
    """A body: a head with the name, an object in `dialect`, a closing marker."""

    call: Head
    close: str
    dialect: Dialect
    again: str = "call:"
    """What begins another call before the closing marker."""
    sort: bool = False
    """Whether keys are rendered in alphabetical order."""
    null: str = "null"
    """How null is rendered."""
    _ends: Markers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", Markers((self.close, self.call.open)))

    @property
    def openers(self) -> tuple[str, ...]:
        """What the head begins with."""
        return (self.call.open,)

    @property
    def strays(self) -> tuple[str, ...]:
        """The closing marker."""
        return (self.close,)

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read one call; an opening marker without a head is text."""
        del opener
        cursor = reading.cursor
        found = yield from self.call.look(cursor, 0)
        if found is None:
            if not self.call.cut_off(cursor):
                return False
            cursor.at = len(cursor.buffer)
            reading.close_call(reading.draft.call(start), CallStatus.TRUNCATED)
            return True
        while found:
            cursor.at = found.end()
            call = reading.draft.call(start)
            call.begin(name_of(found))
            open_ = yield from self._arguments(reading, call)
            if not open_ or not (yield from cursor.looking_at(self.again)):
                break
            found = yield from self.call.look(cursor, 0)
            yield from cursor.skip_space()
            start = cursor.position
        return True

    def _arguments(self, reading: Reading, call: CallDraft) -> Steps[bool]:
        """Read the object and close the call; says whether the closing marker is still to come."""
        cursor = reading.cursor
        root = reading.tools.schema(call.name)

        def typed(key: str, word: str) -> str | None:
            declared = schema.property_schema(root, key, root)
            if not declared:
                return None
            if self.dialect.words.get(word) == "null" and "null" in schema.types(declared, root):
                return "null"  # strings are delimited, so a bare word for null is null
            return coercion.to_json(word, declared, root)

        outcome = yield from read_literal(reading, call, LiteralScan(self.dialect, typed))
        if outcome is Outcome.ENDED:
            reading.close_call(call, CallStatus.TRUNCATED)
            return False
        if outcome is Outcome.DONE:
            closed = yield from cursor.take(self.close)
            reading.close_call(call, complete=closed)
            return not closed
        yield from self._abandon(reading, call)
        return False

    def _abandon(self, reading: Reading, call: CallDraft) -> Steps[None]:
        cursor = reading.cursor
        found = yield from cursor.skip_to(self._ends)
        if found == self.close:
            cursor.at += len(found)
        cut = not found and reading.length
        reading.close_call(call, CallStatus.TRUNCATED if cut else CallStatus.INVALID_JSON)

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools`."""
        options = [
            sequence(
                Literal(self.call.write.format(name=tool.name) + "{"),
                arguments(tool, self._argument_shape, separator=",", sort=self.sort),
                Literal("}" + self.close),
            )
            for tool in tools
        ]
        return Repeated(choice(options), "")

    def _argument_shape(self, key: str, declared: schema.Schema, root: schema.Schema) -> Shape:
        return sequence(Literal(f"{self._key(key)}:"), self._value_shape(declared, root, 0))

    def _value_shape(self, declared: schema.Schema, root: schema.Schema, depth: int) -> Shape:
        quote = self.dialect.quotes[0]
        allowed = schema.types(declared, root)
        if coercion.is_text(declared, root) or depth > schema.MAX_DEPTH:
            return sequence(Literal(quote.open), text_until(quote.close, declared, root))
        current = schema.resolved(declared, root)
        if allowed == frozenset({"array"}):
            item = self._value_shape(schema.mapping(current.get("items")), root, depth + 1)
            return sequence(Literal("["), Choice((Repeated(item, ","), Literal(""))), Literal("]"))
        if allowed == frozenset({"object"}):
            inner = ToolShape("", {**current, "$defs": root.get("$defs", {})})

            def one(key: str, part: schema.Schema, _root: schema.Schema) -> Shape:
                value = self._value_shape(part, root, depth + 1)
                return sequence(Literal(f"{self._key(key)}:"), value)

            members = arguments(inner, one, separator=",", sort=self.sort)
            return sequence(Literal("{"), members, Literal("}"))
        return Json(declared, root)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the calls. Raises: RenderError."""
        written: list[str] = []
        for call in calls:
            if not call.name or any(char in "{}<>:, \n" for char in call.name):
                raise RenderError(f"{call.name!r} can't be written in a head; rename the tool")
            body = self._written(jsontext.load(arguments_text(call)))
            written.append(self.call.write.format(name=call.name) + body + self.close)
        return "".join(written)

    def _written(self, value: Any) -> str:
        quote = self.dialect.quotes[0]
        if isinstance(value, str):
            if quote.close in value:
                raise RenderError(f"a string holds {quote.close!r}, which ends strings here")
            return quote.open + value + quote.close
        if isinstance(value, dict):
            items = list(cast("dict[str, Any]", value).items())
            if self.sort:
                items.sort(key=lambda item: item[0].lower())
            return "{" + ",".join(f"{self._key(k)}:{self._written(v)}" for k, v in items) + "}"
        if isinstance(value, list):
            return "[" + ",".join(self._written(v) for v in cast("list[Any]", value)) + "]"
        if isinstance(value, jsontext.TooDeep):
            raise RenderError("the arguments are nested too deeply to be written")
        return self.null if value is None else coercion.encode(value)

    def _key(self, key: str) -> str:
        if key and key.isidentifier():
            return key
        return self._written(key)
