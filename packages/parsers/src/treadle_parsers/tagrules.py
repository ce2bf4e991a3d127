"""What a format with calls in tags is described with: its literals, which of them count where, and
how it is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from treadle_parsers.cursor import Markers
from treadle_parsers.lookahead import END, ahead
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

CDATA = "<![CDATA["
"""What opens a section of text in which nothing has a meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Markers around one or more calls."""

    open: str
    close: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRules:
    """The tags of a format: blocks around calls, calls around arguments."""

    call: Head
    call_close: str
    param: Head
    param_close: str
    blocks: tuple[Block, ...] = ()
    """Alternatives; the first is rendered."""
    also_close: tuple[str, ...] = ()
    """Other literals that end a call."""
    newlines: bool = False
    """Whether one newline on each side of an argument's text is framing."""
    guess: bool = False
    """Whether an argument that neither a schema nor the tag types is JSON where it can be."""
    bare: bool = True
    """Whether a call may stand outside a block."""
    json_body: bool = False
    """Whether a JSON object may stand in place of the arguments."""
    xml: bool = False
    """Whether entities and CDATA sections are read in an argument's text."""
    xml_names: bool = False
    """Whether entities are read in names."""
    doubled: bool = False
    """Whether a tool `f` may be called as `f.f`."""
    self_typed: bool = False
    """Whether an argument is JSON where it can be, whatever the schema says."""
    special: bool = False
    """Whether the markers are special tokens: those of blocks are framing even without a call, and
    that of a call begins one even in an argument that isn't closed.
    """
    layout: Layout = field(default_factory=Layout)
    structure: Markers = field(init=False, repr=False, compare=False)
    """Every literal that has a meaning between arguments or in them."""
    value_ends: Markers = field(init=False, repr=False, compare=False)
    """The same literals, those in an argument's text that may end it."""
    after: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    """What follows a literal that ends an argument's text, by literal; one of the parts."""

    def __post_init__(self) -> None:
        opens = self.block_opens
        closes = tuple(block.close for block in self.blocks)
        outer = tuple(dict.fromkeys((*closes, *opens)))
        begins = (*opens, self.call.open, END)
        after: dict[str, tuple[str, ...]] = dict.fromkeys((*outer, self.call.open), begins)
        after.update(dict.fromkeys(self.call_closes, (*outer, self.call.open, END)))
        ends = (*self.call_closes, *outer, self.call.open, END)
        after[self.param_close] = (self.param.open, *ends)
        literals = (*after, self.param.open, *((CDATA,) if self.xml else ()))
        follows = {one: ahead([(part,) for part in parts]) for one, parts in after.items()}
        if self.special:
            del follows[self.call.open]
        object.__setattr__(self, "structure", Markers(literals))
        object.__setattr__(self, "value_ends", Markers(literals, follows))
        object.__setattr__(self, "after", after)

    @property
    def call_closes(self) -> tuple[str, ...]:
        """What ends a call."""
        return (self.call_close, *self.also_close)

    @property
    def block_opens(self) -> tuple[str, ...]:
        """What opens a block."""
        return tuple(block.open for block in self.blocks)
