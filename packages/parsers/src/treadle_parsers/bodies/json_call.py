"""One call for each pair of markers, written as a JSON object with name and arguments.

    <tool_call>
    {"name": "f", "arguments": {"x": 1}}
    </tool_call>

The closing marker may be missing; what follows the object then is text again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.jsonfields import JSON_KEYS, JsonKeys, read_fields
from treadle_parsers.jsonvalue import Breakouts, Outcome
from treadle_parsers.jsonwrite import call_object
from treadle_parsers.lookahead import END, partly
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, ToolCall
from treadle_parsers.shapes import Literal, Repeated, Shape, ToolShape, choice, json_call, sequence

JUNK = 64
"""Most characters between a complete object and its closing marker that belong to the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonCall:
    """A body: `open`, one JSON object, `close`."""

    open: str = "<tool_call>"
    close: str = "</tool_call>"
    keys: JsonKeys = JSON_KEYS
    sure: bool = True
    """Whether `open` at the very end of the text is a call that was cut off, not prose."""
    special: bool = False
    """Whether `open` is a special token that no prose holds: a call even when no object follows."""
    lead: str = "\n"
    """White space that the model writes after `open`."""
    tail: str = "\n"
    """White space that the model writes before `close`."""
    between: str = "\n"
    """White space that the model writes between two calls."""
    _ends: Markers = field(init=False, repr=False, compare=False)
    _breakouts: Breakouts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sequences: tuple[tuple[str, ...], ...] = ((self.open, "{", '"'),)
        if self.close:
            sequences = ((self.close, self.open, "{", '"'), (self.close, END))
        ends = (self.close, self.open) if self.close else (self.open,)
        object.__setattr__(self, "_ends", Markers(ends))
        object.__setattr__(self, "_breakouts", Breakouts(sequences=sequences))

    @property
    def openers(self) -> tuple[str, ...]:
        """The opening marker."""
        return (self.open,)

    @property
    def strays(self) -> tuple[str, ...]:
        """The closing marker."""
        return (self.close,) if self.close else ()

    def follow(self, opener: str) -> str:
        """Return what must follow the opening marker: the brace."""
        del opener
        return "" if self.special else partly("{")

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read one call; an opening marker that no `{` follows is text."""
        del opener
        cursor = reading.cursor
        if not (yield from cursor.looking_at("{")):
            if self.sure and cursor.may_reach("{"):
                cursor.at = len(cursor.buffer)
                reading.close_call(reading.draft.call(start), CallStatus.TRUNCATED)
                return True
            if not self.special:
                return False
            yield from self._abandon(reading, reading.draft.call(start))
            return True
        yield from cursor.skip_space()
        call = reading.draft.call(start)
        outcome = yield from read_fields(reading, call, self.keys, self._breakouts)
        if outcome is Outcome.DONE:
            yield from self._finish(reading, call)
        elif outcome is Outcome.BAD:
            yield from self._abandon(reading, call)
        else:
            reading.close_call(call, CallStatus.TRUNCATED)
        return True

    def _finish(self, reading: Reading, call: CallDraft) -> Steps[None]:
        """Consume the closing marker of a complete object, and what little may stand before it."""
        cursor = reading.cursor
        if not self.close:
            reading.close_call(call)
            return
        if (yield from cursor.take(self.close)):
            reading.close_call(call, complete=True)
            return
        junk = yield from cursor.peek(JUNK + len(self.close))
        end = junk.find(self.close)
        if end >= 0 and self.open not in junk[:end]:
            cursor.at += end + len(self.close)
            reading.close_call(call, CallStatus.INVALID_JSON)
            return
        reading.close_call(call)

    def _abandon(self, reading: Reading, call: CallDraft) -> Steps[None]:
        """Skip a body that isn't JSON, up to its closing marker or the next call."""
        cursor = reading.cursor
        while True:
            marker = yield from cursor.skip_to(self._ends)
            if not marker:
                reading.close_call(
                    call, CallStatus.TRUNCATED if reading.length else CallStatus.INVALID_JSON
                )
                return
            if marker == self.close:
                cursor.at += len(marker)
                break
            if (yield from cursor.looking_at(self.open, "{")):
                break
            cursor.at += len(marker)
        reading.close_call(call, CallStatus.INVALID_JSON)

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools`."""
        begin = Literal(self.open + self.lead)
        end = Literal(self.tail + self.close if self.close else "")
        options = [
            sequence(
                begin,
                json_call(tool, self.keys.name[0], self.keys.arguments[0], keyed=self.keys.keyed),
                end,
            )
            for tool in tools
        ]
        return Repeated(choice(options), self.between)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write each call between its markers. Raises: RenderError."""
        return self.between.join(
            f"{self.open}{self.lead}{call_object(call, self.keys)}"
            + (f"{self.tail}{self.close}" if self.close else "")
            for call in calls
        )
