"""Hunyuan 3: the name, `<tool_sep>`, pairs of `<arg_key>` and `<arg_value>`, in a block."""

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

_PARAM = Head(
    open="<arg_key>",
    rest=r"(?P<name>[^<>]*)</arg_key>\s*<arg_value>",
    end="<arg_value>",
    write="<arg_key>{name}</arg_key>\n<arg_value>",
)

HY_V3 = Format(
    name="hy_v3",
    aliases=("hunyuan",),
    summary="<tool_calls><tool_call>f<tool_sep><arg_key>x</arg_key><arg_value>1</arg_value>"
    "</tool_call></tool_calls>",
    models="Hunyuan 3",
    signature=("<tool_calls>", "<tool_call>", "<tool_sep>", "<arg_key>"),
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

FORMATS = (HY_V3,)
