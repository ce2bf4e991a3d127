"""Qwen3-Coder and its relatives: `<function=...>` with one `<parameter=...>` pair for each argument."""

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

_NAME = r"\s*[\"']?(?P<name>[^<>\"'\n]+?)[\"']?\s*>"
_CALL = Head(open="<function=", rest=_NAME, end=">", write="<function={name}>")
_PARAM = Head(open="<parameter=", rest=_NAME, end=">", write="<parameter={name}>")
_BLOCK = Block(open="<tool_call>", close="</tool_call>")

QWEN3_CODER = Format(
    name="qwen3_coder",
    aliases=("qwen3_xml", "nemotron_v3", "nemotron3", "nemotron_nano", "nanbeige", "step3p5", "step5",
             "granite_thinking", "qwen3.5", "qwen3-coder"),
    summary="<tool_call><function=f><parameter=x>1</parameter></function></tool_call>",
    models="Qwen3-Coder, Qwen 3.5 to 3.8, Nemotron 3, Step-3.5, Granite 4.1",
    bodies=(
        TaggedCalls(
            call=_CALL,
            call_close="</function>",
            param=_PARAM,
            param_close="</parameter>",
            blocks=(_BLOCK,),
            newlines=True,
        ),
    ),
    framing=("<|im_end|>",),
)

MIMO = Format(
    name="mimo",
    summary="<tool_call><function=f><parameter=x>1</parameter></function></tool_call>, no newlines",
    models="MiMo-V2",
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

SEED_OSS = Format(
    name="seed_oss",
    summary="<seed:tool_call><function=f><parameter=x>1</parameter></function></seed:tool_call>",
    models="Seed-OSS",
    bodies=(
        TaggedCalls(
            call=_CALL,
            call_close="</function>",
            param=_PARAM,
            param_close="</parameter>",
            blocks=(Block(open="<seed:tool_call>", close="</seed:tool_call>"),),
            newlines=True,
            layout=Layout(before_value="", after_value=""),
        ),
    ),
    thinking=(Thinking(open="<seed:think>", close="</seed:think>"),),
    framing=("<seed:eos>",),
    turn=r"<seed:bos>assistant\n",
)

FORMATS = (QWEN3_CODER, MIMO, SEED_OSS)
