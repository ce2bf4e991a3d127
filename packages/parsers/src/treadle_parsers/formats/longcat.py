"""LongCat: JSON, or the name with key and value tags, between `<longcat_tool_call>` tags."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head

_OPEN = "<longcat_tool_call>"
_CLOSE = "</longcat_tool_call>"

LONGCAT = Format(
    name="longcat",
    summary='<longcat_tool_call>{"name": "f", "arguments": {"x": 1}}</longcat_tool_call>',
    models="LongCat-Flash",
    bodies=(
        JsonCall(open=_OPEN, close=_CLOSE),
        JsonArray(open=_OPEN, close=_CLOSE, strict=True),
        TaggedCalls(
            call=Head(
                open=_OPEN, rest=r"\s*(?P<name>[^\s<>{}]+)\s*", end="<", write=_OPEN + "{name}"
            ),
            call_close=_CLOSE,
            param=Head(
                open="<longcat_arg_key>",
                rest=r"(?P<name>[^<>]*)</longcat_arg_key>\s*<longcat_arg_value>",
                end="<longcat_arg_value>",
                write="<longcat_arg_key>{name}</longcat_arg_key>\n<longcat_arg_value>",
            ),
            param_close="</longcat_arg_value>",
        ),
    ),
    thinking=(Thinking(open="<longcat_think>", close="</longcat_think>"), Thinking()),
)

FORMATS = (LONGCAT,)
