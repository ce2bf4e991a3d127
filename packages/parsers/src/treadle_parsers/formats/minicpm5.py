"""MiniCPM5: `<function>` and `<param>` tags, with entities and CDATA sections."""

from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head
from treadle_parsers.taggedwrite import Layout, Spelling

_REST = NAME_ATTRIBUTE + r"[^>]*>"

_TIGHT = Layout(
    block_lead="",
    call_lead="",
    before_value="",
    after_value="",
    after_param="",
    after_call="",
    between="\n",
    one_block=True,
    spelling=Spelling.PYTHON,
    cdata=True,
)


def _head(tag: str) -> Head:
    return Head(open=f"<{tag}", rest=_REST, end=">", write=f'<{tag} name="{{name}}">')


MINICPM5 = Format(
    name="minicpm5",
    summary='<function name="f"><param name="x">1</param></function>',
    models="MiniCPM5",
    signature=("<function name=", "<param name="),
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
    gap="\n",
    framing=("<|im_end|>",),
)

FORMATS = (MINICPM5,)
