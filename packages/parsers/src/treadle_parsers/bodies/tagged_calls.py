"""Calls written with a tag for the call and a pair of tags for each argument.

    <tool_call>
    <function=f>
    <parameter=x>
    1
    </parameter>
    </function>
    </tool_call>

The text of an argument has no quotes, so a closing tag in it is only a closing tag when structure
follows: the next argument, the end of the call, or the end of the text. An argument whose closing
tag is missing ends at the next one that the tool's schema knows. Blocks (`<tool_call>` here) are
framing and may be missing.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from treadle_parsers import coercion, schema
from treadle_parsers.cursor import Steps
from treadle_parsers.lookahead import partly
from treadle_parsers.pythonshape import python_scalar, python_value
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, ToolCall
from treadle_parsers.schema import Schema
from treadle_parsers.shapes import (
    EMPTY,
    NUMBER,
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
from treadle_parsers.taggedread import TaggedArguments
from treadle_parsers.taggedwrite import Spelling, write_calls
from treadle_parsers.tagrules import Block, TagRules

__all__ = ["Block", "TaggedCalls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedCalls(TagRules):
    """A body: blocks around calls, calls around arguments."""

    @property
    def openers(self) -> tuple[str, ...]:
        """What opens a block, and a call."""
        return (*self.block_opens, self.call.open) if self.bare else self.block_opens

    @property
    def strays(self) -> tuple[str, ...]:
        """What closes a block, and a call."""
        return (*(block.close for block in self.blocks), *self.call_closes)

    def follow(self, opener: str) -> str:
        """Return what must follow the opening of a block: that of a call."""
        plain = opener in self.block_opens and not self.special
        return partly(self.call.open) if plain else ""

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read the calls of a block, or one call that stands alone."""
        cursor = reading.cursor
        in_block = any(block.open == opener for block in self.blocks)
        if in_block:
            if not (yield from cursor.looking_at(self.call.open)):
                if cursor.may_reach(self.call.open):
                    cursor.at = len(cursor.buffer)
                    reading.close_call(reading.draft.call(start), CallStatus.TRUNCATED)
                    return True
                reading.stay()
                return self.special
            yield from cursor.skip_space()
            start = cursor.position
            cursor.at += len(self.call.open)
        elif not (yield from self._is_call(reading)):
            return False
        while True:
            yield from self._read_call(reading, start)
            more = in_block and not reading.draft.full
            if not (more and (yield from cursor.looking_at(self.call.open))):
                break
            yield from cursor.skip_space()
            start = cursor.position
            cursor.at += len(self.call.open)
        return True

    def read_message(self, reading: Reading, recipient: str, start: int) -> Steps[bool]:
        """Read the blocks of a message for a tool; other text in it is content."""
        del recipient
        cursor = reading.cursor
        any_block = False
        for block in self.blocks:
            while (yield from cursor.looking_at(block.open)):
                yield from cursor.skip_space()
                begun = cursor.position if any_block else start
                cursor.at += len(block.open)
                if not (yield from self.read(reading, block.open, begun)):
                    return any_block
                any_block = True
                if (yield from cursor.looking_at(block.close)):
                    yield from cursor.skip_space()
                    cursor.at += len(block.close)
        return any_block

    def _is_call(self, reading: Reading) -> Steps[bool]:
        """Say whether what follows the opening of a lone call is one, and no prose."""
        cursor = reading.cursor
        found = yield from self.call.look(cursor, 0)
        if found is None:
            return self.call.cut_off(cursor)
        skip = found.end() - cursor.at
        for part in (self.param.open, *self.call_closes):
            if (yield from cursor.looking_at(part, skip=skip)) or cursor.may_reach(part, skip=skip):
                return True
        return self.json_body and (yield from cursor.looking_at("{", skip=skip))

    def _read_call(self, reading: Reading, start: int) -> Steps[None]:
        """Read one call whose opening literal was consumed."""
        cursor = reading.cursor
        call = reading.draft.call(start)
        found = yield from self.call.look(cursor, 0)
        if found is None:
            if cursor.ended:
                call.add(cursor.buffer[cursor.at :])
                cursor.at = len(cursor.buffer)
                reading.close_call(call, CallStatus.TRUNCATED)
                return
            yield from cursor.skip_to(self.structure)
            yield from cursor.starts_with(self.call_close)
            reading.close_call(call, CallStatus.INVALID_JSON)
            return
        cursor.at = found.end()
        name = name_of(found)
        if self.xml_names:
            name = html.unescape(name)
        if self.doubled:
            name = _undoubled(name, reading.tools.names)
        if name:
            call.begin(name)
        yield from TaggedArguments(self, reading, call).read()

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools`."""
        layout = self.layout
        block = self.blocks[0] if self.blocks else Block(open="", close="")
        begin = Literal(block.open + layout.block_lead if block.open else "")
        end = Literal(layout.after_call + block.close if block.close else "")
        options: list[Shape] = []
        for tool in tools:
            inner = arguments(tool, self._argument_shape)
            if inner == EMPTY:
                inner = Literal(layout.empty)
            call = sequence(self._head_shape(tool), inner, Literal(self.call_close))
            message = Literal(layout.message.format(name=tool.name))
            options.append(call if layout.one_block else sequence(message, begin, call, end))
        calls = Repeated(choice(options), layout.between)
        return sequence(begin, calls, end) if layout.one_block else calls

    def _head_shape(self, tool: ToolShape) -> Shape:
        before, numbered, after = self.call.write.partition("{index}")
        lead = self.layout.call_lead
        if not numbered:
            return Literal(before.format(name=tool.name) + lead)
        return sequence(Literal(before.format(name=tool.name)), NUMBER, Literal(after + lead))

    def _argument_shape(self, key: str, declared: Schema, root: Schema) -> Shape:
        close = self.layout.after_value + self.param_close + self.layout.after_param
        if coercion.is_text(declared, root):
            lead = self._argument_head(key, "string", text=True)
            return sequence(lead, text_until(close, declared, root))
        kinds = (declared,)
        if "{type}" in self.param.write:
            names = schema.types(declared, root)
            names -= {"integer"} if "number" in names else frozenset[str]()
            kinds = tuple({**declared, "type": name} for name in sorted(names))
        options = [
            sequence(self._argument_head(key, str(kind.get("type"))), self._value(kind, root))
            for kind in kinds
        ]
        return sequence(choice(options), Literal(close))

    def _argument_head(self, key: str, kind: str, *, text: bool = False) -> Shape:
        kind = "number" if kind == "integer" else kind
        write = self.param.write.format(name=key, string="true" if text else "false", type=kind)
        return Literal(write + self.layout.before_value)

    def _value(self, declared: Schema, root: Schema) -> Shape:
        if self.layout.spelling is Spelling.PYTHON:
            return python_value(declared, root)
        if self.layout.spelling is Spelling.MIXED:
            return python_scalar(declared, root)
        return Json(declared, root)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write `calls`. Raises: RenderError."""
        block = self.blocks[0] if self.blocks else Block(open="", close="")
        return write_calls(
            calls,
            layout=self.layout,
            block=(block.open, block.close),
            call=(self.call.write, self.call_close),
            param=(self.param.write, self.param_close),
        )


def _undoubled(name: str, known: tuple[str, ...]) -> str:
    """Return `f` for `f.f`, unless that is the name of a tool."""
    namespace, _, rest = name.partition(".")
    return rest if namespace == rest and name not in known else name
