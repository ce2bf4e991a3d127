"""IQuest Q1: as GLM, between `<iquest_tool_call>` tags."""

from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.format import Format
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


IQUEST = Format(
    name="iquest_q1",
    summary="<iquest_tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value></iquest_tool_call>",
    models="IQuest Q1",
    bodies=(_calls("<iquest_tool_call>", "</iquest_tool_call>", _PARAM, _LINES),),
)

FORMATS = (IQUEST,)
