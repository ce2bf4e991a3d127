"""GigaChat 3: a JSON object after a marker that differs between versions."""

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Format, Thinking

_GIGACHAT = "<|message_sep|>\n\nfunction call<|role_sep|>\n"

GIGACHAT3 = Format(
    name="gigachat3",
    aliases=("gigachat-v3",),
    summary='<|function_call|>{"name": "f", "arguments": {"x": 1}}',
    models="GigaChat 3, 3.1",
    signature=("role_sep|>", "function call"),
    bodies=(
        JsonCall(open="<|function_call|>", close="", lead="", between=""),
        JsonCall(open=_GIGACHAT, close="", lead="", between=""),
        JsonCall(open="function call<|role_sep|>\n", close="", lead="", between=""),
    ),
    thinking=(Thinking(),),
    framing=("</s>", "<|message_sep|>"),
    turn=r"assistant<\|role_sep\|>\n",
)

FORMATS = (GIGACHAT3,)
