"""Functionary v3.2: `>>>` and the name on a line, then JSON arguments."""

from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.format import Format, Frame
from treadle_parsers.tagged import Head

_LLAMA_TURN = r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n"

FUNCTIONARY_V32 = Format(
    name="functionary_v32",
    aliases=("functionary-v3.2",),
    summary='>>>f\\n{"x": 1}',
    models="Functionary v3.2",
    notes=("The recipient `all` is the user: what follows it is content.",),
    signature=(">>>all",),
    content_frame=Frame(open=">>>all\n"),
    bodies=(
        NamedJson(
            call=Head(
                open=">>>",
                rest=r"(?P<name>[A-Za-z_][\w.\-]*)\r?\n",
                end="\n",
                write=">>>{name}\n",
            )
        ),
    ),
    framing=(">>>all\n", "<|eom_id|>", "<|eot_id|>"),
    turn=_LLAMA_TURN,
)

FORMATS = (FUNCTIONARY_V32,)
