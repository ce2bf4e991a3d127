"""Families that write all calls as one JSON array: Granite 3, Jamba, Hunyuan A13B, Phi-4 and others."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Format, Thinking
from treadle_parsers.jsonfields import JsonKeys

_THOUGHTS = Thinking(open="Here is my thought process:", close="Here is my response:")

GRANITE = Format(
    name="granite",
    aliases=("granite33", "granite3"),
    summary='<|tool_call|>[{"name": "f", "arguments": {"x": 1}}]',
    models="Granite 3.0 to 3.3",
    bodies=(JsonArray(open="<|tool_call|>"), JsonArray(open="<tool_call>")),
    thinking=(Thinking(), _THOUGHTS),
    framing=("<|end_of_text|>", "<response>", "</response>"),
)

JAMBA = Format(
    name="jamba",
    summary='<tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>',
    models="Jamba",
    bodies=(
        JsonArray(
            open="<tool_calls>", close="</tool_calls>", first="\n    ", between=",\n    ", last="\n"
        ),
    ),
)

HUNYUAN_A13B = Format(
    name="hunyuan_a13b",
    summary='<tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>',
    models="Hunyuan-A13B",
    bodies=(JsonArray(open="<tool_calls>", close="</tool_calls>"),),
    calls_in_thinking=False,
    framing=("<answer>", "</answer>"),
)

APRIEL = Format(
    name="apriel",
    summary='<tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>',
    models="Apriel 1.5, 1.6",
    bodies=(JsonArray(open="<tool_calls>", close="</tool_calls>"),),
    thinking=(
        Thinking(
            open="Here are my reasoning steps:",
            close="[BEGIN FINAL RESPONSE]",
        ),
        Thinking(open="<thinking>", close="</thinking>"),
    ),
    framing=("[END FINAL RESPONSE]", "<|end|>"),
)

NEMOTRON = Format(
    name="nemotron_deci",
    aliases=("nemotron_nano_v2", "nemotron-nano-v2", "nemotron"),
    summary='<TOOLCALL>[{"name": "f", "arguments": {"x": 1}}]</TOOLCALL>',
    models="Llama-Nemotron, Nemotron Nano v2",
    bodies=(JsonArray(open="<TOOLCALL>", close="</TOOLCALL>"),),
    turn=r"<SPECIAL_11>Assistant\n",
    framing=("<SPECIAL_12>",),
)

PHI4_MINI = Format(
    name="phi4_mini_json",
    aliases=("phi4", "phi4_mini", "firefunction", "firefunction_v2"),
    summary='functools[{"name": "f", "arguments": {"x": 1}}]',
    models="Phi-4-mini, FireFunction v2",
    bodies=(JsonArray(open="functools"),),
    framing=("<|end|>", "<|eot_id|>"),
)

XLAM = Format(
    name="xlam",
    summary='[{"name": "f", "arguments": {"x": 1}}]',
    models="xLAM-2",
    bodies=(
        JsonArray(open="[", bare=True),
        JsonArray(open="```json", close="```"),
        JsonArray(open="[TOOL_CALLS]"),
        JsonArray(open="<tool_call>", close="</tool_call>"),
    ),
)

JSON_ARRAY = Format(
    name="json_array",
    aliases=("generic_json", "generic"),
    summary='[{"name": "f", "parameters": {"x": 1}}]',
    models="any model under a grammar for required calls",
    bodies=(
        JsonArray(
            open="[",
            bare=True,
            keys=JsonKeys(arguments=("parameters", "arguments"), wrapper=("function", "tool_call")),
        ),
        JsonArray(open='{"tool_calls":'),
        JsonCall(open='{"tool_call":', close="}", lead=" ", tail=""),
    ),
)

APERTUS = Format(
    name="apertus",
    aliases=("apertus2509",),
    summary='<|tools_prefix|>[{"f": {"x": 1}}]<|tools_suffix|>',
    models="Apertus",
    bodies=(
        JsonArray(open="<|tools_prefix|>", close="<|tools_suffix|>", keys=JsonKeys(keyed=True)),
    ),
    thinking=(Thinking(open="<|inner_prefix|>", close="<|inner_suffix|>", lead="", tail="", gap=""),),
    framing=("<|assistant_end|>",),
    turn=r"<\|assistant_start\|>",
)

_COHERE_KEYS = JsonKeys(
    name=("tool_name", "name"),
    arguments=("parameters", "arguments"),
    id=("tool_call_id", "id"),
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

COHERE_COMMAND3 = Format(
    name="cohere_command3",
    aliases=("cohere", "cohere_command", "command_r7b", "cohere_command4", "cohere2moe"),
    summary='<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": {}}]...',
    models="Command R7B, Command A, Command A+",
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

COMMAND_R_PLUS = Format(
    name="command-r-plus",
    aliases=("cohere_command_r", "command_r_plus"),
    summary='Action:\\n```json\\n[{"tool_name": "f", "parameters": {"x": 1}}]\\n```',
    models="Command R+",
    bodies=(
        JsonArray(
            open="Action:\n```json",
            close="```",
            keys=_COHERE_KEYS,
            lead="\n",
            first="\n    ",
            between=",\n    ",
            last="\n",
        ),
    ),
    thinking=(),
    framing=("<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"),
    turn=_COHERE_TURN,
)

FORMATS = (
    GRANITE,
    JAMBA,
    HUNYUAN_A13B,
    APRIEL,
    NEMOTRON,
    PHI4_MINI,
    XLAM,
    JSON_ARRAY,
    APERTUS,
    COHERE_COMMAND3,
    COMMAND_R_PLUS,
)
