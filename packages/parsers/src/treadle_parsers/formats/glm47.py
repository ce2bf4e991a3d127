"""GLM-4.7 and later: as GLM-4.5, without white space."""

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

_NAME = r"\s*(?P<name>[^\s<>{}\[\]\"']+)\s*"

_TIGHT_PARAM = Head(
    open="<arg_key>",
    rest=r"(?P<name>[^<>]*)</arg_key>\s*<arg_value>",
    end="<arg_value>",
    write="<arg_key>{name}</arg_key><arg_value>",
)

_TIGHT = Layout(
    block_lead="",
    call_lead="",
    before_value="",
    after_value="",
    after_param="",
    after_call="",
    between="",
)


def _calls(open_: str, close: str, param: Head, layout: Layout) -> TaggedCalls:
    return TaggedCalls(
        call=Head(open=open_, rest=_NAME, end="<", write=open_ + "{name}", sure=True),
        call_close=close,
        param=param,
        param_close="</arg_value>",
        layout=layout,
    )


GLM47 = Format(
    name="glm47",
    aliases=("glm-4.7", "glm5", "glm53", "spark25"),
    summary="<tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value></tool_call>",
    models="GLM-4.7 and later, Spark 2.5",
    signature=("<tool_call>{function-name}<arg_key>",),
    bodies=(_calls("<tool_call>", "</tool_call>", _TIGHT_PARAM, _TIGHT), JsonCall()),
    thinking=(Thinking(lead="", tail="", gap=""),),
    framing=("<|user|>", "<|observation|>", "<|endoftext|>"),
)

FORMATS = (GLM47,)
