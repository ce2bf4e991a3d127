"""Step3: `<steptml:invoke>` tags between special tokens."""

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format, Frame
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head
from treadle_parsers.taggedwrite import Layout

_REST = NAME_ATTRIBUTE + r"[^>]*>"


def _head(tag: str) -> Head:
    return Head(open=f"<{tag}", rest=_REST, end=">", write=f'<{tag} name="{{name}}">')


STEP3 = Format(
    name="step3",
    summary='<steptml:invoke name="f"><steptml:parameter name="x">1</steptml:parameter>...',
    models="Step3",
    signature=("steptml:invoke",),
    calls_frame=Frame(open="<｜tool_calls_begin｜>", close="<｜tool_calls_end｜>"),
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

FORMATS = (STEP3,)
