"""What a format is: one declarative description that drives parser, renderer and grammar export.

A `Format` names its markers and the bodies that its calls are written in; it holds no state. A
body reads calls from a `Reading` (see `reading`) and writes them back. New families are new
values of these classes, and only a new way of writing arguments needs a new body.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from treadle_parsers.cursor import Steps
from treadle_parsers.draft import CallId, numbered_id
from treadle_parsers.errors import UnknownDialectError
from treadle_parsers.reading import Reading
from treadle_parsers.records import ToolCall

if TYPE_CHECKING:
    from treadle_parsers.shapes import Shape, ToolShape


class Body(Protocol):
    """How calls are written between markers."""

    @property
    def openers(self) -> tuple[str, ...]:
        """Literals that may begin a call, or a list of calls."""
        ...

    @property
    def strays(self) -> tuple[str, ...]:
        """Literals that are framing when they stand outside a call."""
        ...

    def read(self, reading: Reading, opener: str, start: int) -> Steps[bool]:
        """Read the call whose `opener` was just consumed; `start` is where the opener stands.

        Returns False, with nothing more consumed, when the text isn't a call after all.
        """
        ...

    def shape(self, tools: "Sequence[ToolShape]") -> "Shape":
        """Return what calls of `tools` look like, for the grammar exports."""
        ...

    def render(self, calls: Sequence[ToolCall]) -> str:
        """Write `calls` as the model would. Raises: RenderError when one can't be written."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """The markers of a thinking block."""

    open: str = "<think>"
    close: str = "</think>"
    lead: str = "\n"
    """White space that the model writes after `open`."""
    tail: str = "\n"
    """White space that the model writes before `close`."""
    gap: str = "\n\n"
    """White space that the model writes between `close` and what follows."""


TURN = (
    r"<\|im_start\|>assistant\n|<\|assistant\|>\n?|<start_of_turn>model\n|<\|turn>model\n"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>\n\n"
    r"|<\|start_of_role\|>assistant<\|end_of_role\|>|<｜Assistant｜>"
)
"""Headers of an assistant turn: what a prefix holds after the last one belongs to the message."""


CONTROL = (
    "<bos>",
    "<eos>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
)
"""Tokens that begin and end texts and turns, whatever the family: models are fine-tuned with the
tokens of one family and the calls of another.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Markers that are rendered around a part of a message."""

    open: str = ""
    close: str = ""
    always: bool = False
    """Whether the markers are rendered around nothing, too."""


NO_FRAME = Frame()


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One family of tool-call formats."""

    name: str
    summary: str
    """One line: how a call looks."""
    models: str
    """Which models write it."""
    notes: tuple[str, ...] = ()
    """What a reader of the format's page should know besides; no parser reads it."""
    bodies: tuple[Body, ...]
    """Ways of writing calls; `render` uses the first."""
    aliases: tuple[str, ...] = ()
    thinking: tuple[Thinking, ...] = (Thinking(),)
    """Thinking blocks; `render` uses the first."""
    calls_in_thinking: bool = True
    """Whether a call inside a thinking block is a call, which ends the block."""
    reasoning_frame: Frame = NO_FRAME
    """How reasoning is rendered where it isn't a thinking block."""
    content_frame: Frame = NO_FRAME
    """What is rendered around content."""
    calls_frame: Frame = NO_FRAME
    """What is rendered around all calls."""
    gap: str = ""
    """White space that is rendered between content and calls."""
    lead: str = ""
    """White space that is rendered before calls that no content precedes."""
    content_last: bool = False
    """Whether content is rendered after the calls."""
    dialects: tuple["Dialect", ...] = ()
    """Other ways of writing messages; what is parsed is the same for all."""
    framing: tuple[str, ...] = ()
    """Other literals that belong to the format and not to the text."""
    control: tuple[str, ...] = CONTROL
    """Literals that are framing wherever they stand, even inside a word."""
    first: Body | None = None
    """A body whose calls may begin the message without their marker: the prompt ends with it."""
    signature: tuple[str, ...] | None = None
    """Literals that a template or a text in this format holds, for detection; by default the first
    opener, and empty for a format that its markers don't tell from others."""
    turn: str = TURN
    """Regular expression of the header of an assistant turn, for `prefix=`."""
    call_id: CallId = numbered_id
    """Makes ids where the format has none."""

    def in_dialect(self, name: str | None) -> "Format":
        """Return the format as `name` writes it; None and "default" mean the format itself.

        Raises: UnknownDialectError, whose message holds the names there are.
        """
        if name is None or name == DEFAULT_DIALECT:
            return self
        for dialect in self.dialects:
            if dialect.name == name:
                return dialect.form
        known = ", ".join(repr(one.name) for one in self.dialects) or "none"
        raise UnknownDialectError(
            f"the format {self.name!r} has no dialect {name!r}; besides 'default' it has: {known}"
        )


DEFAULT_DIALECT = "default"
"""The name under which every format's own way of writing can be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How some models of a format write it, where their template differs from the newest one's."""

    name: str
    models: str
    """Which models write so."""
    form: Format
    """The format with what differs replaced; only what is written is taken from it."""
