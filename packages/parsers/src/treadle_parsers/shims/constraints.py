"""Grammars for the tool choices of an engine, in the form that its constrained decoding takes."""

from collections.abc import Sequence
from typing import Any, Literal

from treadle_parsers.parser import Parser
from treadle_parsers.records import ToolSchema


def constraint(
    parser: Parser,
    tools: Sequence[ToolSchema],
    *,
    choice: Literal["auto", "required"] = "required",
    only: str | None = None,
    parallel: bool = True,
) -> dict[str, Any] | None:
    """Return the structural tag for calls of `tools`, of the tool `only` where it is named.

    `parallel=False` ends the message after one call. None where no tool is left: nothing can be
    demanded then.
    """
    chosen = [tool for tool in tools if only is None or tool["function"]["name"] == only]
    if not chosen:
        return None
    tag = parser.structural_tag(chosen, choice=choice)
    if not parallel and tag["format"]["type"] in ("tags_with_separator", "triggered_tags"):
        tag["format"]["stop_after_first"] = True
    return tag
