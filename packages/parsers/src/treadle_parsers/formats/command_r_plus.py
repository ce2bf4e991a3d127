"""Command R+: a JSON array in a code fence after `Action:`."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Format
from treadle_parsers.jsonfields import JsonKeys

_COHERE_KEYS = JsonKeys(
    name=("tool_name", "name"),
    arguments=("parameters", "arguments"),
    id=("tool_call_id", "id"),
)

_COHERE_TURN = r"<\|START_OF_TURN_TOKEN\|><\|CHATBOT_TOKEN\|>"

COMMAND_R_PLUS = Format(
    name="command-r-plus",
    aliases=("cohere_command_r", "command_r_plus"),
    summary='Action:\\n```json\\n[{"tool_name": "f", "parameters": {"x": 1}}]\\n```',
    models="Command R+",
    notes=("`directly-answer` is a call like any other: the template offers it as a tool.",),
    signature=("Action:", "directly-answer"),
    bodies=(
        JsonArray(
            open="Action:\n```json",
            close="```",
            keys=_COHERE_KEYS,
            lead="\n",
            first="\n    ",
            between=",\n    ",
            last="\n",
            on_lines=True,
        ),
        JsonArray(open="Action:\r\n```json", close="```", keys=_COHERE_KEYS),
    ),
    thinking=(),
    gap="\n",
    lead="\n",
    framing=("<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"),
    turn=_COHERE_TURN,
)

FORMATS = (COMMAND_R_PLUS,)
