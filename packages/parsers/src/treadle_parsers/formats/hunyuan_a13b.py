"""Hunyuan A13B: a JSON array between `<tool_calls>` tags, never inside thinking."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Format

HUNYUAN_A13B = Format(
    name="hunyuan_a13b",
    summary='<tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>',
    models="Hunyuan-A13B",
    signature=("<tool_calls>", "<answer>"),
    bodies=(JsonArray(open="<tool_calls>", close="</tool_calls>"),),
    calls_in_thinking=False,
    framing=("<answer>", "</answer>"),
)

FORMATS = (HUNYUAN_A13B,)
