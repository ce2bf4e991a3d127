"""Command R7B and later: a JSON array between action markers, other text in marked blocks."""

from dataclasses import replace

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Dialect, Format, Frame, Thinking
from treadle_parsers.jsonfields import JsonKeys

_COHERE_KEYS = JsonKeys(
    name=("tool_name", "name"),
    arguments=("parameters", "arguments"),
    id=("tool_call_id", "id"),
    numbered=True,
)

_COHERE_ACTION = JsonArray(
    open="<|START_ACTION|>",
    close="<|END_ACTION|>",
    keys=_COHERE_KEYS,
    first="\n    ",
    between=",\n    ",
    last="\n",
)

_COHERE_THINKING = Thinking(
    open="<|START_THINKING|>", close="<|END_THINKING|>", lead="", tail="", gap=""
)

_COHERE_TURN = r"<\|START_OF_TURN_TOKEN\|><\|CHATBOT_TOKEN\|>"

_COHERE = Format(
    name="cohere_command3",
    aliases=("cohere", "cohere_command", "command_r7b", "cohere_command4", "cohere2moe"),
    summary='<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": {}}]...',
    models="Command R7B, Command A, Command A+",
    signature=("<|START_ACTION|>", "<|END_ACTION|>"),
    content_frame=Frame(open="<|START_RESPONSE|>", close="<|END_RESPONSE|>"),
    bodies=(_COHERE_ACTION,),
    thinking=(_COHERE_THINKING,),
    framing=(
        "<|START_RESPONSE|>",
        "<|END_RESPONSE|>",
        "<|START_TEXT|>",
        "<|END_TEXT|>",
        "<|END_OF_TURN_TOKEN|>",
        "<|CHATBOT_TOKEN|>",
    ),
    turn=_COHERE_TURN,
)

COHERE_COMMAND3 = replace(
    _COHERE,
    dialects=(
        Dialect(
            name="command4",
            models="Command A+, Cohere2 MoE",
            form=replace(_COHERE, content_frame=Frame(open="<|START_TEXT|>", close="<|END_TEXT|>")),
        ),
    ),
)

FORMATS = (COHERE_COMMAND3,)
