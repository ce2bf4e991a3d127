"""Families that write `<invoke name="f">` with `<parameter name="x">`: MiniMax M2, dots, Step3, MiniCPM5."""

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head
from treadle_parsers.taggedwrite import Layout

_REST = NAME_ATTRIBUTE + r"[^>]*>"
_LINES = Layout(before_value="", after_value="", one_block=True)
_TIGHT = Layout(
    block_lead="",
    call_lead="",
    before_value="",
    after_value="",
    after_param="",
    after_call="",
    between="",
    one_block=True,
)


def _head(tag: str) -> Head:
    return Head(open=f"<{tag}", rest=_REST, end=">", write=f'<{tag} name="{{name}}">')


MINIMAX_M2 = Format(
    name="minimax_m2",
    aliases=("minimax-m2",),
    summary='<minimax:tool_call><invoke name="f"><parameter name="x">1</parameter></invoke>...',
    models="MiniMax M2, M2.1",
    bodies=(
        TaggedCalls(
            call=_head("invoke"),
            call_close="</invoke>",
            param=_head("parameter"),
            param_close="</parameter>",
            blocks=(Block(open="<minimax:tool_call>", close="</minimax:tool_call>"),),
            layout=_LINES,
        ),
    ),
    framing=("[e~[",),
    turn=r"\]~b\]ai\n",
)

DOTS = Format(
    name="dots",
    summary='<dots_function_call><invoke name="f"><parameter name="x">1</parameter></invoke>...',
    models="dots.llm2",
    bodies=(
        TaggedCalls(
            call=_head("invoke"),
            call_close="</invoke>",
            param=_head("parameter"),
            param_close="</parameter>",
            blocks=(Block(open="<dots_function_call>", close="</dots_function_call>"),),
            layout=_TIGHT,
        ),
        JsonCall(open="<dots_function_call>", close="</dots_function_call>"),
    ),
)

STEP3 = Format(
    name="step3",
    summary='<steptml:invoke name="f"><steptml:parameter name="x">1</steptml:parameter>...',
    models="Step3",
    bodies=(
        TaggedCalls(
            call=_head("steptml:invoke"),
            call_close="</steptml:invoke>",
            param=_head("steptml:parameter"),
            param_close="</steptml:parameter>",
            blocks=(
                Block(
                    open="<｜tool_call_begin｜>function<｜tool_sep｜>",
                    close="<｜tool_call_end｜>",
                ),
            ),
            layout=Layout(
                block_lead="",
                call_lead="",
                before_value="",
                after_value="",
                after_param="",
                after_call="",
                between="",
            ),
        ),
    ),
    framing=("<｜tool_calls_begin｜>", "<｜tool_calls_end｜>"),
)

MINICPM5 = Format(
    name="minicpm5",
    summary='<function name="f"><param name="x">1</param></function>',
    models="MiniCPM5",
    bodies=(
        TaggedCalls(
            call=_head("function"),
            call_close="</function>",
            param=_head("param"),
            param_close="</param>",
            xml=True,
            layout=_TIGHT,
        ),
    ),
    thinking=(Thinking(),),
    framing=("<|im_end|>",),
)

FORMATS = (MINIMAX_M2, DOTS, STEP3, MINICPM5)
