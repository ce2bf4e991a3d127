"""MiniMax M1: JSON objects on lines of their own between `<tool_calls>` tags."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Format

MINIMAX_M1 = Format(
    name="minimax_m1",
    aliases=("minimax", "minimax-m1"),
    summary='<tool_calls>\\n{"name": "f", "arguments": {"x": 1}}\\n</tool_calls>',
    models="MiniMax M1",
    signature=("<tool_calls>", "<beginning_of_sentence>"),
    bodies=(
        JsonArray(
            open="<tool_calls>",
            close="</tool_calls>",
            brackets=False,
            first="\n",
            between="\n",
            last="\n",
        ),
    ),
    framing=("<end_of_sentence>",),
    turn=r"<beginning_of_sentence>ai name=assistant\n",
)

FORMATS = (MINIMAX_M1,)
