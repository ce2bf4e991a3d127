"""Calls written with a tag for the call and a pair of tags for each argument.

    <tool_call>
    <function=f>
    <parameter=x>
    1
    </parameter>
    </function>
    </tool_call>

The text of an argument has no quotes, so a closing tag in it is only a closing tag when structure follows: the next
argument, the end of the call, or the end of the text. An argument whose closing tag is missing ends at the next one
that the tool's schema knows. Blocks (`<tool_call>` here) are framing and may be missing.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

from treadle_parsers import coercion, schema
from treadle_parsers.cursor import END, Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.jsonfields import Breakouts, Outcome, read_value
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, ToolCall
from treadle_parsers.tagged import Head, ValueText, name_of
from treadle_parsers.taggedwrite import Layout, write_calls


CDATA = "<![CDATA["
_CDATA_END = Markers(("]]>",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Markers around one or more calls."""

    open: str
    close: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedCalls:
    """A body: blocks around calls, calls around arguments."""

    call: Head
    call_close: str
    param: Head
    param_close: str
    blocks: tuple[Block, ...] = ()
    """Alternatives; the first is rendered."""
    newlines: bool = False
    """Whether one newline on each side of an argument's text is framing."""
    guess: bool = False
    """Whether an argument that neither a schema nor the tag types is JSON where it can be."""
    bare: bool = True
    """Whether a call may stand outside a block."""
    json_body: bool = False
    """Whether a JSON object may stand in place of the arguments."""
    xml: bool = False
    """Whether entities and CDATA sections are read in an argument's text."""
    xml_names: bool = False
    """Whether entities are read in names."""
    doubled: bool = False
    """Whether a tool `f` may be called as `f.f`."""
    self_typed: bool = False
    """Whether an argument is JSON where it can be, whatever the schema says."""
    layout: Layout = field(default_factory=Layout)
    _structure: Markers = field(init=False, repr=False, compare=False)
    _after_value: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _block_ends: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        opens = tuple(block.open for block in self.blocks)
        closes = tuple(block.close for block in self.blocks)
        outer = tuple(dict.fromkeys((*closes, *opens)))
        after = (self.param.open, self.call_close, *outer, self.call.open, END)
        structure = (self.param_close, *after[:-1], *((CDATA,) if self.xml else ()))
        object.__setattr__(self, "_structure", Markers(structure))
        object.__setattr__(self, "_after_value", after)
        object.__setattr__(self, "_block_ends", (*outer, self.call.open, END))

    @property
    def openers(self) -> tuple[str, ...]:
        """What opens a block, and a call."""
        blocks = tuple(block.open for block in self.blocks)
        return (*blocks, self.call.open) if self.bare else blocks

    @property
    def strays(self) -> tuple[str, ...]:
        """What closes a block, and a call."""
        return (*(block.close for block in self.blocks), self.call_close)

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
                return False
            yield from cursor.skip_space()
            start = cursor.position
            cursor.at += len(self.call.open)
        elif not (yield from self._is_call(reading)):
            return False
        while True:
            yield from self._read_call(reading, start)
            if not (in_block and (yield from cursor.looking_at(self.call.open))):
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
                cursor.at += len(block.open)
                if not (yield from self.read(reading, block.open, start)):
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
        for part in (self.param.open, self.call_close):
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
            yield from cursor.skip_to(self._structure)
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
        yield from _Arguments(self, reading, call).read()

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


_STRING_MARKS = ("true", "string", "str")
"""What a tag says of an argument that is a string."""


def _undoubled(name: str, known: tuple[str, ...]) -> str:
    """Return `f` for `f.f`, unless that is the name of a tool."""
    namespace, _, rest = name.partition(".")
    return rest if namespace == rest and name not in known else name


class _Arguments:
    """The arguments of one call while they are read."""

    __slots__ = ("_body", "_broken", "_call", "_keys", "_reading", "_root")

    def __init__(self, body: TaggedCalls, reading: Reading, call: CallDraft) -> None:
        self._body = body
        self._reading = reading
        self._call = call
        self._root = reading.tools.schema(call.name)
        self._keys: set[str] = set()
        self._broken = False

    def read(self) -> Steps[None]:
        """Read arguments up to the end of the call and close its record."""
        body, cursor, call = self._body, self._reading.cursor, self._call
        while True:
            char = yield from cursor.skip_space()
            if char == "":
                self._end()
                return
            marker = yield from cursor.at_marker(body._structure)
            if marker == body.call_close:
                cursor.at += len(marker)
                self._finish(complete=True)
                return
            if marker == body.param.open:
                if not (yield from self._argument()):
                    return
            elif marker == body.param_close:
                cursor.at += len(marker)
            elif marker:
                self._finish(complete=True)
                return
            elif char == "{" and body.json_body and not self._keys:
                yield from self._json()
                return
            elif cursor.ended and body._structure.may_grow(cursor):
                cursor.at = len(cursor.buffer)
                self._end()
                return
            elif not (yield from self._skip()):
                return

    def _finish(self, *, complete: bool) -> None:
        self._call.add("}" if self._keys else "{}")
        status = CallStatus.INVALID_JSON if self._broken else None
        self._reading.close_call(self._call, status, complete=complete)

    def _end(self) -> None:
        """The text ended between arguments: complete as far as it goes, if it goes anywhere."""
        if self._keys:
            self._finish(complete=False)
        else:
            self._reading.close_call(self._call, CallStatus.TRUNCATED)

    def _skip(self) -> Steps[bool]:
        """Skip text that can't stand between arguments; False when the text ended in it."""
        self._broken = True
        cursor = self._reading.cursor
        found = yield from cursor.skip_to(self._body._structure)
        if found:
            return True
        self._reading.close_call(self._call, CallStatus.TRUNCATED)
        return False

    def _json(self) -> Steps[None]:
        """Read a JSON object that stands for the arguments."""
        cursor, call = self._reading.cursor, self._call
        outcome = yield from read_value(self._reading, call.add, Breakouts())
        if outcome is Outcome.ENDED:
            self._reading.close_call(call, CallStatus.TRUNCATED)
            return
        yield from cursor.skip_to(self._body._structure)
        closed = yield from cursor.starts_with(self._body.call_close)
        status = CallStatus.INVALID_JSON if outcome is Outcome.BAD else None
        self._reading.close_call(call, status, complete=closed)

    def _argument(self) -> Steps[bool]:
        """Read one argument, or skip what isn't one; False when the text ended in it."""
        body, cursor, call = self._body, self._reading.cursor, self._call
        found = yield from body.param.look(cursor, len(body.param.open))
        if found is None:
            cursor.at += len(body.param.open)
            if cursor.ended:
                found_next = yield from cursor.skip_to(body._structure)
                if not found_next:
                    self._reading.close_call(call, CallStatus.TRUNCATED)
                    return False
            else:
                yield from cursor.skip_to(body._structure)
            return True
        cursor.at = found.end()
        key = html.unescape(name_of(found)) if body.xml_names else name_of(found)
        call.add(("{" if not self._keys else ", ") + coercion.encode(key) + ": ")
        self._keys.add(key)
        groups = found.groupdict()
        value = self._value(key, groups.get("string") or groups.get("type"))
        if (yield from self._text(value)):
            value.close()
            return True
        value.abandon()
        self._reading.close_call(call, CallStatus.TRUNCATED)
        return False

    def _value(self, key: str, marked: str | None) -> ValueText:
        body = self._body
        declared = schema.property_schema(self._root, key, self._root)
        if body.self_typed:
            declared = None
        if marked is not None:
            string = marked in _STRING_MARKS
        elif declared:
            string = coercion.is_text(declared, self._root)
        else:
            string = not body.guess
        return ValueText(
            self._call,
            None if marked is not None and not declared else declared or {},
            self._root,
            newlines=body.newlines,
            xml=body.xml,
            string=string,
            guess=marked is not None or body.guess,
        )

    def _text(self, value: ValueText) -> Steps[bool]:
        """Pass on the text of an argument up to its end; False when the whole text ended first."""
        body, cursor = self._body, self._reading.cursor
        markers = body._structure
        while True:
            found = markers.search(cursor)
            stop = found.start() if found else markers.held_from(cursor)
            if found is None and cursor.ended:
                stop = len(cursor.buffer)
            if stop > cursor.at:
                value.add(cursor.buffer[cursor.at : stop])
                cursor.at = stop
            if found is None:
                if cursor.ended:
                    return False
                yield
                continue
            marker = found.group()
            if marker == CDATA:
                if not (yield from self._cdata(value)):
                    return False
                continue
            if (yield from self._ends(marker)):
                if marker == body.param_close:
                    cursor.at += len(marker)
                return True
            value.add(marker)
            cursor.at += len(marker)

    def _cdata(self, value: ValueText) -> Steps[bool]:
        """Pass on a CDATA section, unread; False when the text ended in it."""
        cursor = self._reading.cursor
        cursor.at += len(CDATA)
        while True:
            found = _CDATA_END.search(cursor)
            stop = found.start() if found else _CDATA_END.held_from(cursor)
            if found is None and cursor.ended:
                stop = len(cursor.buffer)
            value.add(cursor.buffer[cursor.at : stop], raw=True)
            cursor.at = stop
            if found:
                cursor.at += len(found.group())
                return True
            if cursor.ended:
                return False
            yield

    def _ends(self, marker: str) -> Steps[bool]:
        """Say whether `marker`, at the cursor, ends the text of an argument."""
        body, cursor = self._body, self._reading.cursor
        if marker == body.param_close:
            return (yield from self._followed(marker, body._after_value))
        if marker == body.param.open:
            found = yield from body.param.look(cursor, len(marker))
            if found is None:
                return False
            key = name_of(found)
            if not self._root:
                return True
            return key not in self._keys and bool(
                schema.property_schema(self._root, key, self._root)
            )
        if marker == body.call_close:
            return (yield from self._followed(marker, body._block_ends))
        opens = tuple(block.open for block in body.blocks)
        return (yield from self._followed(marker, (*opens, body.call.open, END)))

    def _followed(self, marker: str, parts: tuple[str, ...]) -> Steps[bool]:
        for part in parts:
            if (yield from self._reading.cursor.looking_at(marker, part)):
                return True
        return False
