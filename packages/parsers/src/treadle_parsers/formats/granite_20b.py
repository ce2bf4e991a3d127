"""Granite 20B function calling: JSON objects, each after `<function_call>`."""

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Format

GRANITE_20B = Format(
    name="granite-20b-fc",
    aliases=("granite_20b_fc",),
    summary='<function_call> {"name": "f", "arguments": {"x": 1}}',
    models="granite-20b-functioncalling",
    bodies=(JsonCall(open="<function_call>", close="", lead=" ", between="\n"),),
    framing=("<|endoftext|>",),
)

FORMATS = (GRANITE_20B,)
