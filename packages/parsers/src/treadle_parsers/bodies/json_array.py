"""All calls of a message in one JSON array, between markers or after one.

    <tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>

Each object is a call of its own; brackets, commas and markers are framing. After an object that
can't be read, reading goes on at the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.jsonfields import JSON_KEYS, Breakouts, JsonKeys, Outcome, read_fields
from treadle_parsers.jsonwrite import call_object
from treadle_parsers.lookahead import END, any_of, partly
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, ToolCall
from treadle_parsers.shapes import Literal, Repeated, Shape, ToolShape, choice, json_call, sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonArray:
    """A body: `open`, an array of objects, `close`."""

    open: str
    close: str = ""
    keys: JsonKeys = JSON_KEYS
    bare: bool = False
    """Whether `open` is the bracket itself: then a call object must follow at once."""
    lead: str = ""
    """White space that the model writes after `open`."""
    first: str = ""
    """White space that the model writes before the first object."""
    last: str = ""
    """White space that the model writes after the last object."""
    between: str = ", "
    """What the model writes between two objects."""
    _ends: Markers = field(init=False, repr=False, compare=False)
    _breakouts: Breakouts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sequences: list[tuple[str, ...]] = []
        ends: list[str] = []
        if not self.keys.keyed:
            key = f'"{self.keys.name[0]}"'
            sequences = [("{" + key, ":"), ("{ " + key, ":")]
            ends = ["{" + key, "{ " + key]
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
        return any_of([partly("["), partly("{")])

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
        options = [
            json_call(tool, self.keys.name[0], self.keys.arguments[0], keyed=self.keys.keyed)
            for tool in tools
        ]
        bracket = "" if self.bare else "["
        begin = Literal(self.open + self.lead + bracket + self.first)
        end = Literal(self.last + "]" + self.close)
        return sequence(begin, Repeated(choice(options), self.between), end)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the array between its markers. Raises: RenderError."""
        objects = self.between.join(call_object(call, self.keys) for call in calls)
        bracket = "" if self.bare else "["
        return f"{self.open}{self.lead}{bracket}{self.first}{objects}{self.last}]{self.close}"
