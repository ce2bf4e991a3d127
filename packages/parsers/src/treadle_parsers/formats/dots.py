"""dots.llm2: `<invoke>` and `<parameter>` tags, or a JSON object, in a block."""

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head
from treadle_parsers.taggedwrite import Layout

_REST = NAME_ATTRIBUTE + r"[^>]*>"

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


DOTS = Format(
    name="dots",
    summary='<dots_function_call><invoke name="f"><parameter name="x">1</parameter></invoke>...',
    models="dots.llm2",
    signature=("<dots_function_call>",),
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

FORMATS = (DOTS,)
