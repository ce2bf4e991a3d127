"""A marker that a tool's name may follow before the call itself: both are framing.

<|message_model|>get_weather<|content_invoke_tool_json|>{...}
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from treadle_parsers.cursor import Steps
from treadle_parsers.errors import RenderError
from treadle_parsers.reading import Reading
from treadle_parsers.records import ToolCall
from treadle_parsers.shapes import Literal, Shape, ToolShape

_NAME = re.compile(r"[\w.\-/:]{0,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A body without calls of its own: `open`, perhaps a name, then one of `then`."""

    open: str
    then: tuple[str, ...]

    @property
    def openers(self) -> tuple[str, ...]:
        """The marker."""
        return (self.open,)

    @property
    def strays(self) -> tuple[str, ...]:
        """None."""
        return ()

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Pass the marker as framing, and the name too when a call follows it."""
        del opener, start
        cursor = reading.cursor
        while True:
            found = _NAME.match(cursor.buffer, cursor.at)
            stop = found.end() if found else cursor.at
            rest = cursor.buffer[stop : stop + 64]
            if any(rest.startswith(part) for part in self.then):
                cursor.at = stop
                return True
            if cursor.ended or not any(part.startswith(rest) for part in self.then):
                return True
            yield

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the marker alone."""
        del tools
        return Literal(self.open)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the marker alone. Raises: RenderError when there are calls."""
        if calls:
            raise RenderError("a lead holds no calls; put the body that writes them first")
        return self.open
