"""Laguna: the name, then pairs of `<arg_key>` and `<arg_value>`."""

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

_NAME = r"\s*(?P<name>[^\s<>{}\[\]\"']+)\s*"

_PARAM = Head(
    open="<arg_key>",
    rest=r"(?P<name>[^<>]*)</arg_key>\s*<arg_value>",
    end="<arg_value>",
    write="<arg_key>{name}</arg_key>\n<arg_value>",
)

_LINES = Layout(call_lead="\n", before_value="", after_value="", after_param="\n")


def _calls(open_: str, close: str, param: Head, layout: Layout) -> TaggedCalls:
    return TaggedCalls(
        call=Head(open=open_, rest=_NAME, end="<", write=open_ + "{name}", sure=True),
        call_close=close,
        param=param,
        param_close="</arg_value>",
        layout=layout,
    )


POOLSIDE = Format(
    name="poolside_v1",
    aliases=("poolside-v1", "laguna"),
    summary="<tool_call>f\\n<arg_key>x</arg_key>\\n<arg_value>1</arg_value>\\n</tool_call>",
    models="Laguna",
    signature=("<tool_call>function-name\\n<arg_key>",),
    bodies=(_calls("<tool_call>", "</tool_call>", _PARAM, _LINES), JsonCall()),
    thinking=(Thinking(gap="\n"),),
    gap="\n",
)

FORMATS = (POOLSIDE,)
