"""Granite 3: one JSON array after `<|tool_call|>`, without an end marker."""

from dataclasses import replace

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Dialect, Format, Thinking

_THOUGHTS = Thinking(open="Here is my thought process:", close="Here is my response:")

_GRANITE = Format(
    name="granite",
    aliases=("granite33", "granite3"),
    summary='<|tool_call|>[{"name": "f", "arguments": {"x": 1}}]',
    models="Granite 3.0 to 3.3",
    bodies=(JsonArray(open="<|tool_call|>"), JsonArray(open="<tool_call>")),
    thinking=(Thinking(), _THOUGHTS),
    framing=("<|end_of_text|>", "<response>", "</response>"),
)

GRANITE = replace(
    _GRANITE,
    dialects=(
        Dialect(
            name="granite3.0",
            models="Granite 3.0 and 3.1",
            form=replace(_GRANITE, bodies=(JsonArray(open="<|tool_call|>", on_lines=True),)),
        ),
    ),
)

FORMATS = (GRANITE,)
