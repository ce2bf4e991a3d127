"""Markers around a list of calls, which are framing when a call follows and prose when none does.

<ifm|tool_calls><ifm|tool_call>...</ifm|tool_call></ifm|tool_calls>
"""

from collections.abc import Sequence
from dataclasses import dataclass

from treadle_parsers.cursor import Steps
from treadle_parsers.errors import RenderError
from treadle_parsers.lookahead import any_of, partly
from treadle_parsers.reading import Reading
from treadle_parsers.records import ToolCall
from treadle_parsers.shapes import Literal, Shape, ToolShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A body without calls of its own: `open`, followed by one of `then`."""

    open: str
    close: str
    then: tuple[str, ...]

    @property
    def openers(self) -> tuple[str, ...]:
        """The opening marker."""
        return (self.open,)

    @property
    def strays(self) -> tuple[str, ...]:
        """The closing marker."""
        return (self.close,)

    def follow(self, opener: str) -> str:
        """Return what must follow: a marker of a call."""
        del opener
        return any_of([partly(part) for part in self.then])

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Pass the marker as framing when what follows may be a call."""
        del opener, start
        for part in self.then:
            found = yield from reading.cursor.looking_at(part)
            if found or reading.cursor.may_reach(part):
                return True
        return False

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the marker alone."""
        del tools
        return Literal(self.open)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the markers alone. Raises: RenderError when there are calls."""
        if calls:
            raise RenderError("a gate holds no calls; put the body that writes them first")
        return self.open + self.close
