"""Phi-4-mini and FireFunction: a JSON array after the word `functools`."""

from dataclasses import replace

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Dialect, Format

_PHI4_MINI = Format(
    name="phi4_mini_json",
    aliases=("phi4", "phi4_mini", "firefunction", "firefunction_v2"),
    summary='functools[{"name": "f", "arguments": {"x": 1}}]',
    models="Phi-4-mini, FireFunction v2",
    signature=("functools[",),
    bodies=(
        JsonArray(open="functools"),
        JsonArray(open="<|tool_call|>", close="<|/tool_call|>"),
    ),
    framing=("<|end|>", "<|eot_id|>"),
)

PHI4_MINI = replace(
    _PHI4_MINI,
    dialects=(
        Dialect(
            name="firefunction",
            models="FireFunction v2",
            form=replace(_PHI4_MINI, gap=" ", lead=" "),
        ),
    ),
)

FORMATS = (PHI4_MINI,)
