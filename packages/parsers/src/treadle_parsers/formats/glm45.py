"""GLM-4.5 and 4.6: the name, then pairs of `<arg_key>` and `<arg_value>` on lines."""

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


GLM45 = Format(
    name="glm45",
    aliases=("glm", "ling3"),
    summary="<tool_call>f\\n<arg_key>x</arg_key>\\n<arg_value>1</arg_value>\\n</tool_call>",
    models="GLM-4.5, GLM-4.6, Ling 3",
    signature=("<tool_call>", "<arg_key>", "<arg_value>"),
    bodies=(_calls("<tool_call>", "</tool_call>", _PARAM, _LINES), JsonCall()),
    thinking=(Thinking(lead="", tail="", gap="\n"),),
    gap="\n",
    framing=("<|user|>", "<|observation|>", "<|endoftext|>"),
)

FORMATS = (GLM45,)
