"""Families that write calls as Python: Llama 4, ToolACE, OLMo 3, LFM2."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.pythonic_calls import PythonicCalls
from treadle_parsers.format import Format

_LFM2 = ("<|tool_call_start|>", "<|tool_call_end|>")

PYTHONIC = Format(
    name="pythonic",
    summary="[f(x=1), g(y='a')]",
    models="Llama 3.2 with a Python template, ToolACE",
    bodies=(
        PythonicCalls(open="[", bare=True),
        PythonicCalls(open=_LFM2[0], close=_LFM2[1]),
        PythonicCalls(open="<|python_start|>", close="<|python_end|>"),
    ),
    framing=("<|eom_id|>", "<|eot_id|>", "<|eot|>", "<|eom|>"),
)

LLAMA4_PYTHONIC = Format(
    name="llama4_pythonic",
    summary="<|python_start|>[f(x=1), g(y='a')]<|python_end|>",
    models="Llama 4",
    bodies=(
        PythonicCalls(open="[", bare=True),
        PythonicCalls(open="<|python_start|>", close="<|python_end|>"),
    ),
    framing=("<|eom|>", "<|eot|>"),
)

OLMO3 = Format(
    name="olmo3",
    summary="<function_calls>f(x=1)\\ng(y='a')</function_calls>",
    models="OLMo 3",
    bodies=(PythonicCalls(open="<function_calls>", close="</function_calls>", lines=True),),
    framing=("<|im_end|>",),
)

LFM2 = Format(
    name="lfm2",
    aliases=("lfm2.5",),
    summary='<|tool_call_start|>[f(x=1), g(y="a")]<|tool_call_end|>',
    models="LFM2, LFM2.5",
    bodies=(
        PythonicCalls(open=_LFM2[0], close=_LFM2[1]),
        JsonArray(open=_LFM2[0], close=_LFM2[1]),
        PythonicCalls(open="[", bare=True, known=True),
    ),
    framing=("<|im_end|>",),
)

FORMATS = (PYTHONIC, LLAMA4_PYTHONIC, OLMO3, LFM2)
