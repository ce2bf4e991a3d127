"""Seed-OSS: the tags of Qwen3-Coder inside `<seed:tool_call>`."""

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout, Spelling

_NAME = r"\s*[\"']?(?P<name>[^<>\"'\n]+?)[\"']?\s*>"

_CALL = Head(open="<function=", rest=_NAME, end=">", write="<function={name}>")

_PARAM = Head(open="<parameter=", rest=_NAME, end=">", write="<parameter={name}>")

SEED_OSS = Format(
    name="seed_oss",
    summary="<seed:tool_call><function=f><parameter=x>1</parameter></function></seed:tool_call>",
    models="Seed-OSS",
    signature=("<seed:tool_call>", "<function=", "<parameter=", "</parameter>"),
    bodies=(
        TaggedCalls(
            call=_CALL,
            call_close="</function>",
            param=_PARAM,
            param_close="</parameter>",
            blocks=(Block(open="<seed:tool_call>", close="</seed:tool_call>"),),
            newlines=True,
            layout=Layout(before_value="", after_value="", spelling=Spelling.PYTHON),
        ),
    ),
    thinking=(Thinking(open="<seed:think>", close="</seed:think>", lead="", tail="", gap="\n"),),
    gap="\n\n",
    framing=("<seed:eos>",),
    turn=r"<seed:bos>assistant\n",
)

FORMATS = (SEED_OSS,)
