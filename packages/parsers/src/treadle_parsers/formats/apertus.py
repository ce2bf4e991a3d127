"""Apertus: a JSON array of objects whose only key is the name."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Format, Thinking
from treadle_parsers.jsonfields import JsonKeys

APERTUS = Format(
    name="apertus",
    aliases=("apertus2509",),
    summary='<|tools_prefix|>[{"f": {"x": 1}}]<|tools_suffix|>',
    models="Apertus",
    bodies=(
        JsonArray(open="<|tools_prefix|>", close="<|tools_suffix|>", keys=JsonKeys(keyed=True)),
    ),
    thinking=(
        Thinking(open="<|inner_prefix|>", close="<|inner_suffix|>", lead="", tail="", gap=""),
    ),
    framing=("<|assistant_end|>",),
    turn=r"<\|assistant_start\|>",
)

FORMATS = (APERTUS,)
