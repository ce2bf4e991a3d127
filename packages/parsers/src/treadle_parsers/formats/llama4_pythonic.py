"""Llama 4: calls in a Python list, perhaps between markers."""

from treadle_parsers.bodies.pythonic_calls import PythonicCalls
from treadle_parsers.format import Format

LLAMA4_PYTHONIC = Format(
    name="llama4_pythonic",
    summary="<|python_start|>[f(x=1), g(y='a')]<|python_end|>",
    models="Llama 4",
    signature=("[func_name1(param1=", "<|header_start|>"),
    bodies=(
        PythonicCalls(open="[", bare=True),
        PythonicCalls(open="<|python_start|>", close="<|python_end|>"),
    ),
    framing=("<|eom|>", "<|eot|>"),
)

FORMATS = (LLAMA4_PYTHONIC,)
