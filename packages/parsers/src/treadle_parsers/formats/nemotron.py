"""Llama-Nemotron and Nemotron Nano v2: a JSON array between `<TOOLCALL>` tags."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Format

NEMOTRON = Format(
    name="nemotron_deci",
    aliases=("nemotron_nano_v2", "nemotron-nano-v2", "nemotron"),
    summary='<TOOLCALL>[{"name": "f", "arguments": {"x": 1}}]</TOOLCALL>',
    models="Llama-Nemotron, Nemotron Nano v2",
    bodies=(JsonArray(open="<TOOLCALL>", close="</TOOLCALL>"),),
    turn=r"<SPECIAL_11>Assistant\n",
    framing=("<SPECIAL_12>",),
)

FORMATS = (NEMOTRON,)
