"""Calls written as JSON objects without any marker, several joined by `; `.

    {"name": "f", "parameters": {"x": 1}}; {"name": "g", "parameters": {}}

An object in running text is a call only if it begins like one: a name, then arguments or the end.
An object whose arguments come before its name is text here, unless a tag such as `<|python_tag|>`
says that a call follows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.jsonfields import JSON_KEYS, JsonKeys, read_fields
from treadle_parsers.jsonvalue import Breakouts, Outcome
from treadle_parsers.jsonwrite import call_object
from treadle_parsers.lookahead import any_of, partly
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, ToolCall
from treadle_parsers.shapes import Repeated, Shape, ToolShape, choice, json_call

HEAD = 512
"""Most characters in which an object must show that it is a call."""

_PAIRS = r"""(?:"(?:type|id)"\s*+:\s*+"[^"\\]*+"\s*+,\s*+)*+"""
_CALL = re.compile(
    rf"""\s*+{_PAIRS}(?:"function"\s*+:\s*+\{{\s*+)?"name"\s*+:\s*+"[^"\\]*+"\s*+"""
    rf"""(?:\}}|,\s*+{_PAIRS}"(?:parameters|arguments)"\s*+:)"""
)
_FIRST = any_of([partly(f'"{key}"', ":") for key in ("name", "type", "id", "function")])
_BEGIN = re.compile(_FIRST)


@dataclass(frozen=True, slots=True, kw_only=True)
class BareJson:
    """A body: JSON objects, with or without `tag` before them."""

    tag: str = ""
    keys: JsonKeys = JSON_KEYS
    _ends: Markers = field(init=False, repr=False, compare=False)
    _breakouts: Breakouts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        begins = ('{"name"', '{ "name"')
        ends = (*begins, self.tag) if self.tag else begins
        object.__setattr__(self, "_ends", Markers(ends))
        sequences = tuple((begin, ":") for begin in begins)
        object.__setattr__(self, "_breakouts", Breakouts(sequences=sequences))

    @property
    def openers(self) -> tuple[str, ...]:
        """The brace, and the tag."""
        return ("{", self.tag) if self.tag else ("{",)

    @property
    def strays(self) -> tuple[str, ...]:
        """None."""
        return ()

    def follow(self, opener: str) -> str:
        """Return what must follow: the brace after a tag, one of the first keys after a brace."""
        if opener == self.tag:
            return partly("{")
        return _FIRST

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read one object, and those that follow it."""
        cursor = reading.cursor
        if opener == self.tag:
            if not (yield from cursor.looking_at("{")):
                return False
            yield from cursor.skip_space()
        else:
            if not (yield from self._is_call(reading)):
                return False
            cursor.at -= 1
        while True:
            call = reading.draft.call(start)
            yield from self._object(reading, call)
            if not (yield from cursor.looking_at(";", "{")):
                return True
            yield from cursor.skip_space()
            cursor.at += 1
            yield from cursor.skip_space()
            start = cursor.position

    def _is_call(self, reading: Reading) -> Steps[bool]:
        """Say whether the object whose brace was consumed begins like a call."""
        cursor = reading.cursor
        while True:
            buffer, at = cursor.buffer, cursor.at
            if _CALL.match(buffer, at, at + HEAD):
                return True
            if len(buffer) - at >= HEAD or not _BEGIN.match(buffer, at):
                return False
            if cursor.ended:
                return reading.length and '"name"' in buffer[at:]
            yield

    def _object(self, reading: Reading, call: CallDraft) -> Steps[None]:
        outcome = yield from read_fields(reading, call, self.keys, self._breakouts)
        if outcome is Outcome.DONE:
            reading.close_call(call, complete=True)
        elif outcome is Outcome.ENDED:
            reading.close_call(call, CallStatus.TRUNCATED)
        else:
            found = yield from reading.cursor.skip_to(self._ends)
            cut = not found and reading.length
            reading.close_call(call, CallStatus.TRUNCATED if cut else CallStatus.INVALID_JSON)

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools`."""
        keys = (self.keys.name[0], self.keys.arguments[0])
        return Repeated(choice([json_call(tool, *keys) for tool in tools]), "; ")

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the objects, joined by `; `. Raises: RenderError."""
        return "; ".join(call_object(call, self.keys) for call in calls)
