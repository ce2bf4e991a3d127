"""GLM and the families that write like it: the name, then pairs of `<arg_key>` and `<arg_value>`."""

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
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
    aliases=("glm", "ling3", "spark25"),
    summary="<tool_call>f\\n<arg_key>x</arg_key>\\n<arg_value>1</arg_value>\\n</tool_call>",
    models="GLM-4.5, GLM-4.6, Ling 3, Spark 2.5",
    bodies=(_calls("<tool_call>", "</tool_call>", _PARAM, _LINES),),
    framing=("<|user|>", "<|observation|>", "<|endoftext|>"),
)

GLM47 = Format(
    name="glm47",
    aliases=("glm-4.7", "glm5", "glm53"),
    summary="<tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value></tool_call>",
    models="GLM-4.7 and later",
    bodies=(_calls("<tool_call>", "</tool_call>", _TIGHT_PARAM, _TIGHT),),
    thinking=(Thinking(lead="", tail="", gap=""),),
    framing=("<|user|>", "<|observation|>", "<|endoftext|>"),
)

POOLSIDE = Format(
    name="poolside_v1",
    aliases=("poolside-v1", "laguna"),
    summary="<tool_call>f\\n<arg_key>x</arg_key>\\n<arg_value>1</arg_value>\\n</tool_call>",
    models="Laguna",
    bodies=(_calls("<tool_call>", "</tool_call>", _PARAM, _LINES),),
)

IQUEST = Format(
    name="iquest_q1",
    summary="<iquest_tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value></iquest_tool_call>",
    models="IQuest Q1",
    bodies=(_calls("<iquest_tool_call>", "</iquest_tool_call>", _PARAM, _LINES),),
)

HY_V3 = Format(
    name="hy_v3",
    aliases=("hunyuan",),
    summary="<tool_calls><tool_call>f<tool_sep><arg_key>x</arg_key><arg_value>1</arg_value>"
    "</tool_call></tool_calls>",
    models="Hunyuan 3",
    bodies=(
        TaggedCalls(
            call=Head(
                open="<tool_call>",
                rest=r"\s*(?P<name>[^<>\n]+?)\s*<tool_sep>",
                end="<tool_sep>",
                write="<tool_call>{name}<tool_sep>",
                sure=True,
            ),
            call_close="</tool_call>",
            param=_PARAM,
            param_close="</arg_value>",
            blocks=(Block(open="<tool_calls>", close="</tool_calls>"),),
            layout=Layout(before_value="", after_value="", one_block=True),
        ),
    ),
)

FORMATS = (GLM45, GLM47, POOLSIDE, IQUEST, HY_V3)
