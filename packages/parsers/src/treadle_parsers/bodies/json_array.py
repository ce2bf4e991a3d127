"""All calls of a message in one JSON array, between markers or after one.

    <tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>

Each object is a call of its own; brackets, commas and markers are framing. After an object that
can't be read, reading goes on at the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.jsonfields import JSON_KEYS, JsonKeys, read_fields
from treadle_parsers.jsonvalue import Breakouts, Outcome
from treadle_parsers.jsonwrite import STEP, call_object, indented, string
from treadle_parsers.lookahead import END, any_of, partly
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, ToolCall
from treadle_parsers.shapes import (
    NUMBER,
    Json,
    Literal,
    Repeated,
    Sequential,
    Shape,
    ToolShape,
    choice,
    json_call,
    sequence,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonArray:
    """A body: `open`, an array of objects, `close`."""

    open: str
    close: str = ""
    keys: JsonKeys = JSON_KEYS
    bare: bool = False
    """Whether `open` is the bracket itself: then a call object must follow at once."""
    strict: bool = False
    """Whether an object must follow the bracket: `open` is no marker of lists alone."""
    lead: str = ""
    """White space that the model writes after `open`."""
    first: str = ""
    """White space that the model writes before the first object."""
    last: str = ""
    """White space that the model writes after the last object."""
    between: str = ", "
    """What the model writes between two objects."""
    brackets: bool = True
    """Whether the objects are written in brackets."""
    id_shape: Shape | None = None
    """What an id looks like, where each object is written with the id of its call."""
    on_lines: bool = False
    """Whether the array is rendered on lines of their own, indented."""
    _ends: Markers = field(init=False, repr=False, compare=False)
    _breakouts: Breakouts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sequences: list[tuple[str, ...]] = []
        ends: list[str] = []
        if not self.keys.keyed:
            key = f'"{self.keys.name[0]}"'
            ends = ["{" + key, "{ " + key, f"{{\n{STEP * 2}{key}"]
            sequences = [(one, ":") for one in ends]
            if self.keys.numbered:
                ends.append(f'{{"{self.keys.id[0]}"')
        else:
            ends = ['{"']
        if self.close:
            sequences.append((self.close, END))
            ends.append(self.close)
        elif not self.bare:
            ends.append(self.open)
        object.__setattr__(self, "_ends", Markers(tuple(ends)))
        object.__setattr__(self, "_breakouts", Breakouts(sequences=tuple(sequences)))

    @property
    def openers(self) -> tuple[str, ...]:
        """The opening marker."""
        return (self.open,)

    @property
    def strays(self) -> tuple[str, ...]:
        """The closing marker."""
        return (self.close,) if self.close else ()

    def follow(self, opener: str) -> str:
        """Return what must follow the opening marker: a bracket, or the name of a first call."""
        del opener
        if self.bare:
            return any_of([partly("{", f'"{key}"', ":") for key in self.keys.name])
        return partly("[", "{") if self.strict else any_of([partly("["), partly("{")])

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read the array; an opening marker that neither `[` nor `{` follows is text."""
        del opener
        cursor = reading.cursor
        if self.bare:
            starts = tuple(("{", f'"{key}"', ":") for key in self.keys.name)
            found = False
            for parts in starts:
                found = found or (yield from cursor.looking_at(*parts))
            if not found:
                return False
            yield from self._elements(reading)
            return True
        if self.strict and not (yield from cursor.looking_at("[", "{")):
            return False
        for bracket in ("[", "{"):
            if (yield from cursor.looking_at(bracket)):
                yield from cursor.skip_space()
                if bracket == "[":
                    cursor.at += 1
                yield from self._elements(reading)
                return True
        if cursor.may_reach("["):
            cursor.at = len(cursor.buffer)
            reading.close_call(reading.draft.call(start), CallStatus.TRUNCATED)
            return True
        return False

    def _elements(self, reading: Reading) -> Steps[None]:
        """Read objects up to the end of the array, and the closing marker."""
        cursor = reading.cursor
        end = self.close or ("" if self.bare else self.open)
        while True:
            char = cursor.solid() or (yield from cursor.skip_space())
            if char == "{":
                if reading.draft.full:
                    return
                call = reading.draft.call(cursor.position)
                yield from self._element(reading, call)
            elif char == ",":
                cursor.at += 1
            elif char == "]":
                cursor.at += 1
                break
            elif not char or (end and (yield from cursor.looking_at(end))):
                break
            elif not reading.draft.calls or reading.draft.calls[-1].end != cursor.position:
                call = reading.draft.call(cursor.position)
                yield from self._abandon(reading, call)
            else:
                break
        if self.close:
            yield from cursor.take(self.close)

    def _element(self, reading: Reading, call: CallDraft) -> Steps[None]:
        outcome = yield from read_fields(reading, call, self.keys, self._breakouts)
        if outcome is Outcome.DONE:
            reading.close_call(call, complete=True)
        elif outcome is Outcome.ENDED:
            reading.close_call(call, CallStatus.TRUNCATED)
        else:
            yield from self._abandon(reading, call)

    def _abandon(self, reading: Reading, call: CallDraft) -> Steps[None]:
        """Skip what can't be read, up to the next object or the closing marker."""
        found = yield from reading.cursor.skip_to(self._ends)
        cut = not found and reading.length
        reading.close_call(call, CallStatus.TRUNCATED if cut else CallStatus.INVALID_JSON)

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools`."""
        options = [self._object_shape(tool) for tool in tools]
        if self.on_lines:
            lead, ends = f"{self.open}{self.lead}[\n{STEP}", f"\n]{self.close}"
            return sequence(Literal(lead), Repeated(choice(options), f",\n{STEP}"), Literal(ends))
        begin, end = self._around
        return sequence(Literal(begin), Repeated(choice(options), self.between), Literal(end))

    def _object_shape(self, tool: ToolShape) -> Shape:
        keys = (string(self.keys.name[0]), string(self.keys.arguments[0]))
        if self.on_lines:
            lead = f"{{\n{STEP * 2}{keys[0]}: {string(tool.name)},\n{STEP * 2}{keys[1]}: "
            arguments = Json(tool.parameters or {"type": "object"}, tool.parameters)
            return sequence(Literal(lead), arguments, Literal(f"\n{STEP}}}"))
        made = json_call(tool, self.keys.name[0], self.keys.arguments[0], keyed=self.keys.keyed)
        parts: list[Shape] = [*made.parts] if isinstance(made, Sequential) else [made]
        if self.keys.numbered and isinstance(parts[0], Literal):
            number = Literal(f'{{{string(self.keys.id[0])}: "')
            parts[:1] = [number, NUMBER, Literal('", ' + parts[0].text[1:])]
        if self.id_shape is not None:
            lead = Literal(f', {string(self.keys.id[0])}: "')
            parts[-1:] = [lead, self.id_shape, Literal('"}')]
        return sequence(*parts)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the array between its markers. Raises: RenderError."""
        objects = self.between.join(
            call_object(call, self.keys, with_id=self.id_shape is not None) for call in calls
        )
        if self.on_lines:
            return f"{self.open}{self.lead}{indented('[' + objects + ']')}{self.close}"
        begin, end = self._around
        return begin + objects + end

    @property
    def _around(self) -> tuple[str, str]:
        """What is written before the first object, and after the last."""
        opened = "[" if self.brackets and not self.bare else ""
        closed = "]" if self.brackets else ""
        return self.open + self.lead + opened + self.first, self.last + closed + self.close
