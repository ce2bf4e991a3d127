"""Calls written as Python: keyword arguments with literal values.

    [get_weather(city="Paris", days=2), now()]

Values are Python literals, with JSON's `true`, `false` and `null` accepted. A list in running
text is a call only when its first element begins like one: a name, a parenthesis, and a keyword
or the end.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from treadle_parsers import coercion, jsontext
from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.dialects import PYTHON
from treadle_parsers.draft import CallDraft
from treadle_parsers.errors import RenderError
from treadle_parsers.jsonvalue import Outcome
from treadle_parsers.jsonwrite import arguments_text
from treadle_parsers.literalread import read_literal
from treadle_parsers.literals import LiteralScan
from treadle_parsers.lookahead import SPACE, arrived
from treadle_parsers.pythonshape import python_value
from treadle_parsers.reading import Reading
from treadle_parsers.records import CallStatus, ToolCall
from treadle_parsers.schema import Schema
from treadle_parsers.shapes import (
    Json,
    Literal,
    Repeated,
    Shape,
    ToolShape,
    arguments,
    choice,
    sequence,
)

NAME_LIMIT = 256
_NAME = re.compile(r"\s*([A-Za-z_][\w.\-]*)\s*\(")
_KEYWORD = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)\s*")
_BEGINS = re.compile(r"\s*\[?\s*([A-Za-z_][\w.\-]*)\s*\(\s*(?:\)|[A-Za-z_]\w*\s*=)")
_KEY = r"(?:\)|[A-Za-z_]\w*+\s*+" + arrived("=") + ")"
_FIRST = r"[A-Za-z_][\w.\-]*+\s*+" + arrived(r"\(\s*+" + arrived(_KEY))
"""The beginning of a call, as far as it has arrived."""
_MAY_BEGIN = re.compile(r"\s*\[?\s*(?:[A-Za-z_][\w.\-]*\s*(?:\(\s*(?:[A-Za-z_]\w*\s*)?)?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonicCalls:
    """A body: `open`, calls, `close`."""

    open: str
    close: str = ""
    bare: bool = False
    """Whether `open` is the bracket itself."""
    lines: bool = False
    """Whether calls stand on lines of their own, without brackets."""
    known: bool = False
    """Whether the first call must name a tool that is known, when tools are given."""
    _ends: Markers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = (")]", "),", ")\n", self.close) if self.close else (")]", "),", ")\n")
        object.__setattr__(self, "_ends", Markers(ends))

    @property
    def openers(self) -> tuple[str, ...]:
        """The opening marker."""
        return (self.open,)

    @property
    def strays(self) -> tuple[str, ...]:
        """The closing marker."""
        return (self.close,) if self.close else ()

    def follow(self, opener: str) -> str:
        """Return what must follow: a name, a parenthesis, and a keyword or the end."""
        del opener
        return SPACE + arrived(_FIRST if self.bare else r"(?:\[\s*+)?+" + arrived(_FIRST))

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read the calls; an opening marker that no call follows is text."""
        del opener
        cursor = reading.cursor
        while True:
            head = cursor.buffer[cursor.at : cursor.at + NAME_LIMIT]
            if self.bare and head.lstrip().startswith("["):
                return False
            begun = _BEGINS.match(head)
            if begun:
                if self.known and reading.tools.names and begun[1] not in reading.tools.names:
                    return False
                break
            found = _MAY_BEGIN.match(head)
            open_ended = found is not None and found.end() == len(head) and len(head) < NAME_LIMIT
            if not open_ended:
                return False
            if cursor.ended:
                if self.bare:
                    return False
                cursor.at = len(cursor.buffer)
                reading.close_call(reading.draft.call(start), CallStatus.TRUNCATED)
                return True
            yield
        char = yield from cursor.skip_space()
        if char == "[" and not self.bare:
            cursor.at += 1
        yield from self._calls(reading)
        return True

    def _calls(self, reading: Reading) -> Steps[None]:
        cursor = reading.cursor
        while True:
            char = cursor.solid() or (yield from cursor.skip_space())
            if char in (",", ";"):
                cursor.at += 1
                continue
            if char == "]":
                cursor.at += 1
                break
            if not char or not (char.isalpha() or char == "_"):
                break
            if self.lines and self.close and (yield from cursor.looking_at(self.close)):
                break
            if reading.draft.full:
                return
            call = reading.draft.call(cursor.position)
            yield from self._call(reading, call)
        if self.close:
            yield from cursor.take(self.close)

    def _call(self, reading: Reading, call: CallDraft) -> Steps[None]:
        cursor = reading.cursor
        found = yield from self._match(reading, _NAME)
        if found is None:
            yield from self._abandon(reading, call)
            return
        cursor.at = found.end()
        call.begin(found[1])
        first = True
        while True:
            char = cursor.solid() or (yield from cursor.skip_space())
            if char == ")":
                cursor.at += 1
                call.add("{}" if first else "}")
                reading.close_call(call, complete=True)
                return
            if char == "," and not first:
                cursor.at += 1
                char = yield from cursor.skip_space()
                if char == ")":
                    continue
            if not (yield from self._argument(reading, call, first=first)):
                return
            first = False

    def _argument(self, reading: Reading, call: CallDraft, *, first: bool) -> Steps[bool]:
        """Read `key=value`; False when the call was closed because that failed."""
        cursor = reading.cursor
        found = yield from self._match(reading, _KEYWORD)
        if found is None:
            yield from self._abandon(reading, call)
            return False
        cursor.at = found.end()
        call.add(("{" if first else ", ") + coercion.encode(found[1]) + ": ")
        outcome = yield from read_literal(reading, call, LiteralScan(PYTHON))
        if outcome is Outcome.ENDED:
            reading.close_call(call, CallStatus.TRUNCATED)
            return False
        if outcome is Outcome.BAD:
            yield from self._abandon(reading, call)
            return False
        char = cursor.solid() or (yield from cursor.skip_space())
        if char in (",", ")"):
            return True
        yield from self._abandon(reading, call)
        return False

    def _match(self, reading: Reading, pattern: re.Pattern[str]) -> Steps[re.Match[str] | None]:
        """Match at the cursor, waiting while more text may change the answer."""
        cursor = reading.cursor
        while True:
            limit = cursor.at + NAME_LIMIT
            found = pattern.match(cursor.buffer, cursor.at, limit)
            if cursor.ended or len(cursor.buffer) >= limit:
                return found
            if found and found.end() < len(cursor.buffer):
                return found
            rest = cursor.buffer[cursor.at :]
            if not found and not re.fullmatch(r"\s*[\w.\-]*\s*=?\s*", rest):
                return None
            yield

    def _abandon(self, reading: Reading, call: CallDraft) -> Steps[None]:
        """Skip what can't be read, up to where the next call may stand."""
        cursor = reading.cursor
        found = yield from cursor.skip_to(self._ends)
        if found and found[0] == ")":
            cursor.at += 1
        status = CallStatus.TRUNCATED if not found else CallStatus.INVALID_JSON
        reading.close_call(call, status)

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools`; strings are in double quotes, as rendered."""

        def one(key: str, declared: Schema, root: Schema) -> Shape:
            text = coercion.is_text(declared, root)
            value = Json(declared, root) if text else python_value(declared, root)
            return sequence(Literal(f"{key}="), value)

        options = [
            sequence(Literal(f"{tool.name}("), arguments(tool, one, separator=", "), Literal(")"))
            for tool in tools
        ]
        calls = Repeated(choice(options), "\n" if self.lines else ", ")
        if self.lines:
            return sequence(Literal(self.open), calls, Literal(self.close))
        bracket = "" if self.bare else "["
        return sequence(Literal(self.open + bracket), calls, Literal("]" + self.close))

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the calls. Raises: RenderError."""
        written = [self._written(call) for call in calls]
        if self.lines:
            return self.open + "\n".join(written) + self.close
        bracket = "" if self.bare else "["
        return f"{self.open}{bracket}{', '.join(written)}]{self.close}"

    def _written(self, call: ToolCall) -> str:
        value = jsontext.load(arguments_text(call))
        if isinstance(value, jsontext.TooDeep):
            raise RenderError("the arguments are nested too deeply to be written")
        arguments = cast("dict[str, Any]", value)
        if not _NAME.fullmatch(call.name + "(") or not all(map(str.isidentifier, arguments)):
            raise RenderError(f"{call.name!r} or one of its arguments is no name in Python")
        pairs = (f"{key}={_literal(value)}" for key, value in arguments.items())
        return f"{call.name}({', '.join(pairs)})"


def _literal(value: Any) -> str:
    return coercion.encode(value) if isinstance(value, str) else repr(value)
