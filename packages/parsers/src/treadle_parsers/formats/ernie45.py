"""ERNIE 4.5: a JSON object between `<tool_call>` tags, the answer between `<response>` tags."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Format

ERNIE45 = Format(
    name="ernie45",
    summary='<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>',
    models="ERNIE-4.5-Thinking",
    signature=("<tool_call>", "<response>"),
    bodies=(JsonCall(), JsonArray(open="<tool_call>", close="</tool_call>", strict=True)),
    framing=("<response>", "</response>"),
)

FORMATS = (ERNIE45,)
