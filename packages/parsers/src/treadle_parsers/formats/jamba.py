"""Jamba: a JSON array between `<tool_calls>` tags."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Format

JAMBA = Format(
    name="jamba",
    summary='<tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>',
    models="Jamba",
    signature=(),
    bodies=(
        JsonArray(
            open="<tool_calls>", close="</tool_calls>", first="\n    ", between=",\n    ", last="\n"
        ),
    ),
)

FORMATS = (JAMBA,)
