"""The grammars of a format's calls for a list of tools, made from its `shapes`."""

from collections.abc import Sequence
from typing import Any

from treadle_parsers.errors import GrammarError
from treadle_parsers.format import Format
from treadle_parsers.gbnf import gbnf
from treadle_parsers.records import ToolSchema
from treadle_parsers.shapes import Literal, Shape, ToolShape, sequence
from treadle_parsers.structural_tag import ToolChoice, structural_tag
from treadle_parsers.toolbox import Toolbox


def structural_tag_of(
    form: Format, tools: Sequence[ToolSchema], choice: ToolChoice
) -> dict[str, Any]:
    """Return the structural tag of `form`. Raises: GrammarError when there is no tool."""
    return structural_tag(_shape(form, tools), choice)


def gbnf_of(form: Format, tools: Sequence[ToolSchema]) -> str:
    """Return the GBNF grammar of `form`. Raises: GrammarError when there is no tool."""
    return gbnf(_shape(form, tools))


def _shape(form: Format, tools: Sequence[ToolSchema]) -> Shape:
    box = Toolbox(tools)
    known = [ToolShape(name, box.schema(name)) for name in box.names]
    if not known:
        raise GrammarError("a grammar needs at least one tool; pass tools with names")
    frame = form.calls_frame
    shape = form.bodies[0].shape(known)
    return sequence(Literal(frame.open), shape, Literal(frame.close))
