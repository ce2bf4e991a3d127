"""Tagged calls whose every tag carries a suffix that differs between checkpoints.

    <tool_calls:6124c78e><tool_call:6124c78e>f<arg_key:6124c78e>...

The suffix is read from the first tag; all other tags of the block must carry the same.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.cursor import Steps
from treadle_parsers.reading import Reading
from treadle_parsers.records import ToolCall
from treadle_parsers.shapes import Shape, ToolShape

MAX_SUFFIXES = 8
"""Most suffixes of one message; a model has one, and each costs a description of its own."""

_SUFFIX = re.compile(r"(\w{1,32})>")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuffixedCalls:
    """A body: `open` up to the suffix, and what the calls look like with a given suffix."""

    open: str
    calls: Callable[[str], TaggedCalls]
    call_open: str
    """What opens a call, up to the suffix."""
    default: str
    """The suffix that is rendered."""

    @property
    def openers(self) -> tuple[str, ...]:
        """What stands before the suffix."""
        return (self.open,)

    @property
    def strays(self) -> tuple[str, ...]:
        """None: a closing tag is known only with its suffix."""
        return ()

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read the suffix and the block; without a suffix the marker is text."""
        del opener
        cursor = reading.cursor
        head = cursor.buffer[cursor.at : cursor.at + 33]
        while ">" not in head and len(head) < 33 and not cursor.ended:
            yield
            head = cursor.buffer[cursor.at : cursor.at + 33]
        found = _SUFFIX.match(head)
        if found is None:
            return False
        if not (yield from cursor.looking_at(self.call_open + found.group(), skip=found.end())):
            return False
        reading.variants.add(found[1])
        if len(reading.variants) > MAX_SUFFIXES:
            return False
        body = self.calls(found[1])
        block = body.blocks[0]
        cursor.at += found.end()
        yield from body.read(reading, block.open, start)
        yield from cursor.take(block.close)
        return True

    def shape(self, tools: Sequence[ToolShape]) -> Shape:
        """Return the shape of calls of `tools` with the default suffix."""
        return self.calls(self.default).shape(tools)

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write the calls with the default suffix. Raises: RenderError."""
        return self.calls(self.default).render(calls)
