"""A block that is passed on as text with its markers, and nothing in it is a call.

For a format whose thinking may hold text that looks like a call, read where another plugin splits
the reasoning off, or none does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from treadle_parsers.cursor import Markers, Steps
from treadle_parsers.errors import RenderError
from treadle_parsers.reading import Reading
from treadle_parsers.records import SegmentKind, ToolCall
from treadle_parsers.shapes import EMPTY, Shape, ToolShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Text from `open` to `close`, markers included, that is content."""

    open: str
    close: str
    strays: ClassVar[tuple[str, ...]] = ()

    @property
    def openers(self) -> tuple[str, ...]:
        """The marker that begins the block."""
        return (self.open,)

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Pass the block on; one that never closes lasts to the end of the text."""
        cursor = reading.cursor
        close = Markers((self.close,))
        _pass_on(reading, opener, start)
        while True:
            found = close.search(cursor)
            stop = found.end() if found else len(cursor.buffer)
            if not found and not cursor.ended:
                stop = close.held_from(cursor)
            if stop > cursor.at:
                text, position = cursor.buffer[cursor.at : stop], cursor.position
                cursor.at = stop
                _pass_on(reading, text, position)
            if found or cursor.ended:
                return True
            yield

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return nothing: no call is written in the block."""
        return EMPTY

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Raises: RenderError; a call can't be written as text that isn't one."""
        raise RenderError(f"{len(calls)} calls can't be written inside {self.open}{self.close}")


def _pass_on(reading: Reading, text: str, start: int) -> None:
    reading.draft.content(text)
    reading.draft.mark(SegmentKind.CONTENT, start, start + len(text))
