"""OLMo 3: calls in Python, one on each line, between `<function_calls>` tags."""

from treadle_parsers.bodies.pythonic_calls import PythonicCalls
from treadle_parsers.format import Format

OLMO3 = Format(
    name="olmo3",
    summary="<function_calls>f(x=1)\\ng(y='a')</function_calls>",
    models="OLMo 3",
    bodies=(PythonicCalls(open="<function_calls>", close="</function_calls>", lines=True),),
    framing=("<|im_end|>",),
)

FORMATS = (OLMO3,)
