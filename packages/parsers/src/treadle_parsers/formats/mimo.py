"""MiMo: the tags of Qwen3-Coder without white space, values as they are."""

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

_NAME = r"\s*[\"']?(?P<name>[^<>\"'\n]+?)[\"']?\s*>"

_CALL = Head(open="<function=", rest=_NAME, end=">", write="<function={name}>")

_PARAM = Head(open="<parameter=", rest=_NAME, end=">", write="<parameter={name}>")

_BLOCK = Block(open="<tool_call>", close="</tool_call>")

MIMO = Format(
    name="mimo",
    summary="<tool_call><function=f><parameter=x>1</parameter></function></tool_call>, no newlines",
    models="MiMo-V2",
    signature=(),
    bodies=(
        TaggedCalls(
            call=_CALL,
            call_close="</function>",
            param=_PARAM,
            param_close="</parameter>",
            blocks=(_BLOCK,),
            layout=Layout(
                block_lead="",
                call_lead="",
                before_value="",
                after_value="",
                after_param="",
                after_call="",
            ),
        ),
    ),
    framing=("<|im_end|>",),
)

FORMATS = (MIMO,)
