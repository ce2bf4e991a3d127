"""MiniMax M2: `<invoke>` and `<parameter>` tags in a block of calls."""

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head
from treadle_parsers.taggedwrite import Layout

_REST = NAME_ATTRIBUTE + r"[^>]*>"

_LINES = Layout(before_value="", after_value="", one_block=True)


def _head(tag: str) -> Head:
    return Head(open=f"<{tag}", rest=_REST, end=">", write=f'<{tag} name="{{name}}">')


MINIMAX_M2 = Format(
    name="minimax_m2",
    aliases=("minimax-m2",),
    summary='<minimax:tool_call><invoke name="f"><parameter name="x">1</parameter></invoke>...',
    models="MiniMax M2, M2.1",
    signature=("<minimax:tool_call>", "<invoke name="),
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
    gap="\n",
    lead="\n",
    framing=("[e~[",),
    turn=r"\]~b\]ai\n",
)

FORMATS = (MINIMAX_M2,)
