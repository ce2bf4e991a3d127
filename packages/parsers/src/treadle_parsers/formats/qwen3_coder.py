"""Qwen3-Coder and its relatives: `<function=...>` with one `<parameter=...>` pair each."""

from dataclasses import replace

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Dialect, Format, Thinking
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout, Spelling

_NAME = r"\s*[\"']?(?P<name>[^<>\"'\n]+?)[\"']?\s*>"

_CALL = Head(open="<function=", rest=_NAME, end=">", write="<function={name}>")

_PARAM = Head(open="<parameter=", rest=_NAME, end=">", write="<parameter={name}>")

_BLOCK = Block(open="<tool_call>", close="</tool_call>")


def _calls(layout: Layout) -> TaggedCalls:
    return TaggedCalls(
        call=_CALL,
        call_close="</function>",
        param=_PARAM,
        param_close="</parameter>",
        blocks=(_BLOCK,),
        newlines=True,
        layout=layout,
    )


_QWEN3_CODER = Format(
    name="qwen3_coder",
    aliases=(
        "qwen3_xml",
        "nemotron_v3",
        "nemotron3",
        "nemotron_nano",
        "nanbeige",
        "step3p5",
        "step5",
        "granite_thinking",
        "qwen3.5",
        "qwen3-coder",
    ),
    summary="<tool_call><function=f><parameter=x>1</parameter></function></tool_call>",
    models="Qwen3-Coder, Qwen 3.5 to 3.8, Nemotron 3, Step-3.5, Granite 4.1",
    signature=("<tool_call>", "<function=", "<parameter=", "</parameter>"),
    gap="\n\n",
    bodies=(_calls(Layout(spelling=Spelling.MIXED)),),
    framing=("<|im_end|>",),
)

QWEN3_CODER = replace(
    _QWEN3_CODER,
    dialects=(
        Dialect(
            name="nemotron_v3",
            models="Nemotron 3",
            form=replace(_QWEN3_CODER, thinking=(Thinking(gap="\n"),), gap="\n"),
        ),
        Dialect(
            name="step3p5",
            models="Step-3.5",
            form=replace(
                _QWEN3_CODER,
                bodies=(_calls(Layout(between="", spelling=Spelling.MIXED)),),
                thinking=(Thinking(gap="\n"),),
                gap="",
            ),
        ),
    ),
)

FORMATS = (QWEN3_CODER,)
