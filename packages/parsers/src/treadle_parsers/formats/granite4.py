"""Granite 4: a JSON object between `<tool_call>` tags."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Format

GRANITE4 = Format(
    name="granite4",
    summary='<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>',
    models="Granite 4.0",
    signature=("<tool_call>", "</tool_call>", "<|start_of_role|>"),
    gap="\n",
    bodies=(JsonCall(), JsonArray(open="<tool_call>", close="</tool_call>", strict=True)),
    framing=("<|end_of_text|>",),
)

FORMATS = (GRANITE4,)
