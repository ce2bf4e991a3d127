"""K2 Horizon: the name and `<ifm|arg_key>` pairs, or a JSON object, between `<ifm|tool_call>`
tags.
"""

from treadle_parsers.bodies.gate import Gate
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.format import Format, Frame, Thinking
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

_OPEN = "<ifm|tool_call>"
_CLOSE = "</ifm|tool_call>"

K2_HORIZON = Format(
    name="k2_horizon",
    summary="<ifm|tool_calls><ifm|tool_call>f<ifm|arg_key>x</ifm|arg_key><ifm|arg_value>1...",
    models="LLM360 K2 Horizon",
    calls_frame=Frame(open="<ifm|tool_calls>", close="</ifm|tool_calls>"),
    bodies=(
        TaggedCalls(
            call=Head(
                open=_OPEN,
                rest=r"\s*(?P<name>[^\s<>{}\[\]\"']+)\s*",
                end="<",
                write=_OPEN + "{name}",
                sure=True,
            ),
            call_close=_CLOSE,
            param=Head(
                open="<ifm|arg_key>",
                rest=r"(?P<name>[^<>]*)</ifm\|arg_key>\s*"
                r"(?:<ifm\|arg_type>(?P<type>[^<>]*)</ifm\|arg_type>\s*)?<ifm\|arg_value>",
                end="<ifm|arg_value>",
                write="<ifm|arg_key>{name}</ifm|arg_key><ifm|arg_value>",
            ),
            param_close="</ifm|arg_value>",
            layout=Layout(
                block_lead="",
                call_lead="",
                before_value="",
                after_value="",
                after_param="",
                after_call="",
                between="",
            ),
        ),
        JsonCall(open=_OPEN, close=_CLOSE),
        Gate(open="<ifm|tool_calls>", close="</ifm|tool_calls>", then=(_OPEN,)),
    ),
    thinking=(Thinking(open="<ifm|think>", close="</ifm|think>"),),
)

FORMATS = (K2_HORIZON,)
