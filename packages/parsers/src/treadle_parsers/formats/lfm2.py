"""LFM2: calls in a Python list between markers, or as JSON."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.pythonic_calls import PythonicCalls
from treadle_parsers.format import Format

_LFM2 = ("<|tool_call_start|>", "<|tool_call_end|>")

LFM2 = Format(
    name="lfm2",
    aliases=("lfm2.5",),
    summary='<|tool_call_start|>[f(x=1), g(y="a")]<|tool_call_end|>',
    models="LFM2, LFM2.5",
    notes=(
        "A list without markers is read too, but only when its first call names a tool of "
        "`tools=`.",
    ),
    signature=("<|tool_list_start|>",),
    bodies=(
        PythonicCalls(open=_LFM2[0], close=_LFM2[1]),
        JsonArray(open=_LFM2[0], close=_LFM2[1]),
        PythonicCalls(open="[", bare=True, known=True),
    ),
    framing=("<|im_end|>",),
)

FORMATS = (LFM2,)
