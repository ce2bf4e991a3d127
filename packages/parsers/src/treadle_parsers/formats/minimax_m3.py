"""MiniMax M3: nested elements for arguments, a mark before every tag."""

from treadle_parsers.bodies.nested_calls import NestedCalls
from treadle_parsers.format import Format, Thinking

MINIMAX_M3 = Format(
    name="minimax_m3",
    aliases=("minimax-m3", "minimax_m3_nom"),
    summary=']<]minimax[>[<invoke name="f">]<]minimax[>[<x>1]<]minimax[>[</x>...',
    models="MiniMax M3",
    notes=(
        "Arrays and objects are elements in elements; the schema tells an array from an object.",
    ),
    signature=("]<]minimax[>[", "<invoke name="),
    bodies=(NestedCalls(mark="]<]minimax[>["),),
    thinking=(Thinking(open="<mm:think>", close="</mm:think>", lead="", tail="", gap=""),),
    framing=("[e~[",),
    turn=r"\]~b\]ai\n",
)

FORMATS = (MINIMAX_M3,)
