"""Calls in a Python list: Llama 3.2, ToolACE."""

from treadle_parsers.bodies.pythonic_calls import PythonicCalls
from treadle_parsers.format import Format

_LFM2 = ("<|tool_call_start|>", "<|tool_call_end|>")

PYTHONIC = Format(
    name="pythonic",
    summary="[f(x=1), g(y='a')]",
    models="Llama 3.2 with a Python template, ToolACE",
    signature=("[func_name1(params_name1=",),
    bodies=(
        PythonicCalls(open="[", bare=True),
        PythonicCalls(open=_LFM2[0], close=_LFM2[1]),
        PythonicCalls(open="<|python_start|>", close="<|python_end|>"),
    ),
    framing=("<|eom_id|>", "<|eot_id|>", "<|eot|>", "<|eom|>"),
)

FORMATS = (PYTHONIC,)
