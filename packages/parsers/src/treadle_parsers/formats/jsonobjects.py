"""Families that write one JSON object for each call, after or between markers of their own."""

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.format import Format, Thinking
from treadle_parsers.jsonfields import JsonKeys
from treadle_parsers.tagged import Head

GRANITE4 = Format(
    name="granite4",
    summary='<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>',
    models="Granite 4.0",
    bodies=(JsonCall(),),
    framing=("<|end_of_text|>",),
)

GRANITE_20B = Format(
    name="granite-20b-fc",
    aliases=("granite_20b_fc",),
    summary='<function_call> {"name": "f", "arguments": {"x": 1}}',
    models="granite-20b-functioncalling",
    bodies=(JsonCall(open="<function_call>", close="", lead=" ", between=" "),),
    framing=("<|endoftext|>",),
)

_INTERNLM_KEYS = JsonKeys(arguments=("parameters", "arguments"))
INTERNLM = Format(
    name="internlm",
    aliases=("interns1", "internlm2"),
    summary='<|action_start|><|plugin|>{"name": "f", "parameters": {"x": 1}}<|action_end|>',
    models="InternLM 2.5, Intern-S1",
    bodies=(
        JsonCall(
            open="<|action_start|><|plugin|>",
            close="<|action_end|>",
            keys=_INTERNLM_KEYS,
            between="",
        ),
        JsonCall(open="<|action_start|> <|plugin|>", close="<|action_end|>", keys=_INTERNLM_KEYS),
    ),
    framing=("<|im_end|>",),
)

ERNIE45 = Format(
    name="ernie45",
    summary='<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>',
    models="ERNIE-4.5-Thinking",
    bodies=(JsonCall(),),
    framing=("<response>", "</response>"),
)

_GIGACHAT = "<|message_sep|>\n\nfunction call<|role_sep|>\n"
GIGACHAT3 = Format(
    name="gigachat3",
    summary='<|function_call|>{"name": "f", "arguments": {"x": 1}}',
    models="GigaChat 3, 3.1",
    bodies=(
        JsonCall(open="<|function_call|>", close="", lead="", between=""),
        JsonCall(open=_GIGACHAT, close="", lead="", between=""),
        JsonCall(open="function call<|role_sep|>\n", close="", lead="", between=""),
    ),
    thinking=(Thinking(),),
    framing=("</s>", "<|message_sep|>"),
    turn=r"assistant<\|role_sep\|>\n",
)

_LLAMA_TURN = r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n"
FUNCTIONARY_V31 = Format(
    name="functionary_v31",
    aliases=("functionary-v3.1", "functionary"),
    summary='<function=f>{"x": 1}</function>',
    models="Functionary v3.1",
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

FUNCTIONARY_V32 = Format(
    name="functionary_v32",
    aliases=("functionary-v3.2",),
    summary='>>>f\\n{"x": 1}',
    models="Functionary v3.2",
    bodies=(
        NamedJson(
            call=Head(
                open=">>>",
                rest=r"(?P<name>[A-Za-z_][\w.\-]*)\n",
                end="\n",
                write=">>>{name}\n",
            )
        ),
    ),
    framing=(">>>all\n", "<|eom_id|>", "<|eot_id|>"),
    turn=_LLAMA_TURN,
)

FORMATS = (
    GRANITE4,
    GRANITE_20B,
    INTERNLM,
    ERNIE45,
    GIGACHAT3,
    FUNCTIONARY_V31,
    FUNCTIONARY_V32,
)
