"""Calls that name the tool in a head and write the arguments as one JSON object after it.

<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"x": 1}<|tool_call_end|>
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.errors import RenderError
from treadle_parsers.jsonvalue import Breakouts, Outcome, read_value
from treadle_parsers.jsonwrite import arguments_text
from treadle_parsers.lookahead import END
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, Span, ToolCall
from treadle_parsers.shapes import Json, Literal, Repeated, Shape, ToolShape, choice, sequence
from treadle_parsers.tagged import Head, name_of

_NAME_BEGUN = re.compile(r"\s*([\w.\-]{1,256})")


def blank_call(name: str) -> ToolCall:
    """Return a call of `name` with nothing else in it."""
    span = Span(start=0, end=0)
    return ToolCall(
        name=name, arguments="{}", id="", index=0, status=CallStatus.OK, span=span, raw=""
    )


def _plain(call: ToolCall) -> str:
    """Return the name of `call` as the head writes it."""
    return call.name


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedJson:
    """A body: a head with the name, a JSON object, a closing marker."""

    call: Head
    close: str = ""
    fence: str = ""
    """A literal that the model writes between the object and `close`, and that may be missing."""
    fence_lead: str = ""
    """White space before `fence`."""
    label: Callable[[ToolCall], str] = _plain
    """What the head holds for a call."""
    label_shape: Callable[[str], Shape] = Literal
    """What the head holds for calls of a tool, by its name."""
    tail: str = ""
    """A literal rendered after `close`."""
    blocks: tuple[str, str] = ("", "")
    """Framing around all calls, as rendered."""
    between: str = ""
    """What is rendered between two calls."""
    also_close: tuple[str, ...] = ()
    """Other literals that close a call."""
    namespace: str = ""
    """What stands before the name of a tool in a header."""
    outer_close: str = ""
    """Framing that may follow the last closing marker."""
    special: bool = False
    """Whether the head begins with a special token: a name after it is a call, even cut off."""
    _ends: Markers = field(init=False, repr=False, compare=False)
    _breakouts: Breakouts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sequences: list[tuple[str, ...]] = []
        if self.close:
            sequences = [(self.close, self.call.open), (self.close, END)]
            if self.outer_close:
                sequences.append((self.close, self.outer_close, END))
                sequences.append((self.close, self.outer_close, self.call.open))
        ends = tuple(end for end in (*self.closes, self.call.open, self.outer_close) if end)
        object.__setattr__(self, "_ends", Markers(ends))
        object.__setattr__(self, "_breakouts", Breakouts(sequences=tuple(sequences)))

    @property
    def closes(self) -> tuple[str, ...]:
        """All closing markers."""
        return (self.close, *self.also_close) if self.close else self.also_close

    @property
    def openers(self) -> tuple[str, ...]:
        """What the head begins with."""
        return (self.call.open,)

    @property
    def strays(self) -> tuple[str, ...]:
        """The closing marker."""
        return self.closes

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read one call; a head that isn't one is text, or a call without a name."""
        del opener
        cursor = reading.cursor
        found = yield from self.call.look(cursor, 0)
        if found is None:
            if not self.call.sure and not self._cut_off(reading):
                return False
            yield from self._nameless(reading, start)
            return True
        skip = found.end() - cursor.at
        opened = yield from cursor.looking_at("{", skip=skip)
        if not opened and not self.call.sure:
            return False
        cursor.at += skip
        call = reading.draft.call(start)
        call.id = found.groupdict().get("id") or ""
        name = name_of(found)
        if name:
            call.begin(name)
        yield from self._arguments(reading, call, opened=opened)
        return True

    def _cut_off(self, reading: Reading) -> bool:
        """Say whether the text ended in a name after a special token."""
        cursor = reading.cursor
        begun = cursor.ended and _NAME_BEGUN.fullmatch(cursor.buffer, cursor.at)
        return self.special and bool(begun)

    def _arguments(self, reading: Reading, call: CallDraft, *, opened: bool) -> Steps[None]:
        cursor = reading.cursor
        char = yield from cursor.skip_space()
        if opened:
            outcome = yield from read_value(reading, call.add, self._breakouts)
            if outcome is Outcome.ENDED:
                reading.close_call(call, CallStatus.TRUNCATED)
            elif outcome is Outcome.BAD:
                yield from self._abandon(reading, call)
            else:
                yield from self._finish(reading, call)
        elif self.close and (yield from cursor.looking_at(self.close)):
            call.add("{}")
            yield from self._finish(reading, call)
        elif char == "":
            reading.close_call(call, CallStatus.TRUNCATED)
        else:
            yield from self._collect(reading, call)

    def _finish(self, reading: Reading, call: CallDraft) -> Steps[None]:
        cursor = reading.cursor
        if self.fence:
            yield from cursor.take(self.fence)
        for close in self.closes:
            if (yield from cursor.take(close)):
                reading.close_call(call, complete=True)
                return
        reading.close_call(call, complete=not self.close)

    def _abandon(self, reading: Reading, call: CallDraft) -> Steps[None]:
        """Skip what can't be read, up to the closing marker or the next call."""
        cursor = reading.cursor
        found = yield from cursor.skip_to(self._ends)
        if found in self.closes:
            cursor.at += len(found)
        cut = not found and reading.length
        reading.close_call(call, CallStatus.TRUNCATED if cut else CallStatus.INVALID_JSON)

    def _nameless(self, reading: Reading, start: int) -> Steps[None]:
        """Keep a call whose head can't be read; of one that was cut off, the name so far."""
        cursor = reading.cursor
        call = reading.draft.call(start)
        begun = _NAME_BEGUN.fullmatch(cursor.buffer, cursor.at) if cursor.ended else None
        if begun is None:
            yield from self._collect(reading, call)
            return
        cursor.at = len(cursor.buffer)
        call.begin(begun[1].removeprefix(self.namespace))
        reading.close_call(call, CallStatus.TRUNCATED)

    def _collect(self, reading: Reading, call: CallDraft) -> Steps[None]:
        """Keep text that isn't JSON as the arguments, up to the closing marker or the next call."""
        cursor = reading.cursor
        while True:
            text, marker = cursor.take_to(self._ends)
            call.add(text)
            if marker or cursor.ended:
                break
            yield
        if marker in self.closes:
            cursor.at += len(marker)
        cut = not marker and reading.length
        reading.close_call(call, CallStatus.TRUNCATED if cut else CallStatus.INVALID_JSON)

    def read_message(self, reading: Reading, recipient: str, start: int) -> Steps[bool]:
        """Read the arguments of a call whose header named `recipient`."""
        cursor = reading.cursor
        call = reading.draft.call(start)
        call.begin(recipient.removeprefix(self.namespace))
        opened = yield from cursor.looking_at("{")
        yield from self._arguments(reading, call, opened=opened)
        return True

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools`."""
        before, after = (part.format() for part in self.call.write.split("{name}"))
        fence = self.fence_lead + self.fence if self.fence else ""
        end = Literal(fence + self.close + self.tail)
        options = [
            sequence(
                Literal(before),
                self.label_shape(tool.name),
                Literal(after),
                Json(tool.parameters or {"type": "object"}, tool.parameters),
                end,
            )
            for tool in tools
        ]
        calls = Repeated(choice(options), self.between)
        return sequence(Literal(self.blocks[0]), calls, Literal(self.blocks[1]))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the calls. Raises: RenderError."""
        written: list[str] = []
        for call in calls:
            label = self.label(call)
            if not call.name or any(char in "<>{}\n" for char in label):
                raise RenderError(f"{call.name!r} can't be written in a head; rename the tool")
            fence = f"{self.fence_lead}{self.fence}" if self.fence else ""
            head = self.call.write.format(name=label)
            written.append(head + arguments_text(call) + fence + self.close + self.tail)
        return self.blocks[0] + self.between.join(written) + self.blocks[1]
