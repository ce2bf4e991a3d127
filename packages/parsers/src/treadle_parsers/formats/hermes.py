"""Hermes: a JSON object between `<tool_call>` tags, one pair of tags for each call."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Format

HERMES = Format(
    name="hermes",
    aliases=("qwen", "qwen25", "qwen3", "qwen3_json", "trinity"),
    summary='<tool_call>{"name": ..., "arguments": {...}}</tool_call>',
    models="Hermes 2 and 3, Qwen 2.5, QwQ, Qwen 3, SmolLM 3, Arcee Trinity",
    signature=("<tool_call>", "</tool_call>"),
    gap="\n",
    bodies=(JsonCall(), JsonArray(open="<tool_call>", close="</tool_call>", strict=True)),
    framing=("<|im_end|>",),
)

FORMATS = (HERMES,)
