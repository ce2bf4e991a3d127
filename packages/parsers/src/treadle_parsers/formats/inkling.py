"""Inkling: typed blocks, the calls as JSON with `args`."""

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.lead import Lead
from treadle_parsers.format import Format, Frame, Thinking
from treadle_parsers.jsonfields import JsonKeys

_CALL = "<|content_invoke_tool_json|>"

_LEAD = Lead(open="<|message_model|>", then=(_CALL,))

INKLING = Format(
    name="inkling",
    summary='<|content_invoke_tool_json|>{"name": "f", "args": {"x": 1}}<|end_message|>',
    models="TML Inkling",
    content_frame=Frame(open="<|message_model|><|content_text|>", close="<|end_message|>"),
    bodies=(
        JsonCall(
            open=_CALL,
            close="<|end_message|>",
            keys=JsonKeys(arguments=("args", "arguments", "parameters")),
            lead="",
            tail="",
            between="<|message_model|>",
            special=True,
        ),
        _LEAD,
    ),
    first=_LEAD,
    thinking=(
        Thinking(open="<|content_thinking|>", close="<|end_message|>", lead="", tail="", gap=""),
    ),
    framing=(
        "<|content_text|>",
        "<|content_invoke_tool_text|>",
        "<|content_tool_error|>",
        "<|content_audio_input|>",
        "<|audio_end|>",
        "<|message_user|>",
        "<|content_model_end_sampling|>",
    ),
)

FORMATS = (INKLING,)
