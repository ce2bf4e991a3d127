"""Functionary v3.1: JSON arguments between `<function=...>` tags."""

from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.format import Format
from treadle_parsers.tagged import Head

_LLAMA_TURN = r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n"

FUNCTIONARY_V31 = Format(
    name="functionary_v31",
    aliases=("functionary-v3.1", "functionary"),
    summary='<function=f>{"x": 1}</function>',
    models="Functionary v3.1",
    signature=("<function=", "</function>", "<|eom_id|>"),
    bodies=(
        NamedJson(
            call=Head(
                open="<function=",
                rest=r"(?P<name>[^<>\n{}]+)>",
                end=">",
                write="<function={name}>",
            ),
            close="</function>",
        ),
    ),
    framing=("<|eom_id|>", "<|eot_id|>"),
    turn=_LLAMA_TURN,
)

FORMATS = (FUNCTIONARY_V31,)
