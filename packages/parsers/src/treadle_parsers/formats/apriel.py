"""Apriel: a JSON array between `<tool_calls>` tags, thinking opened by a sentence."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Format, Thinking

APRIEL = Format(
    name="apriel",
    summary='<tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>',
    models="Apriel 1.5, 1.6",
    signature=("<tool_calls>", "[BEGIN FINAL RESPONSE]"),
    bodies=(JsonArray(open="<tool_calls>", close="</tool_calls>"),),
    thinking=(
        Thinking(
            open="Here are my reasoning steps:",
            close="[BEGIN FINAL RESPONSE]",
            gap="\n",
        ),
        Thinking(open="<thinking>", close="</thinking>"),
    ),
    gap="\n",
    lead="\n",
    framing=("[END FINAL RESPONSE]", "<|end|>"),
)

FORMATS = (APRIEL,)
