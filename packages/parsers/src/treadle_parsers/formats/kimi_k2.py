"""Kimi K2: `functions.NAME:INDEX` as name and id, then JSON, between special tokens."""

from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.format import Format, Thinking
from treadle_parsers.records import ToolCall
from treadle_parsers.shapes import NUMBER, Literal, Shape, sequence
from treadle_parsers.tagged import Head

_BEGIN = "<|tool_call_begin|>"
_ARGUMENTS = "<|tool_call_argument_begin|>"
_SECTION = ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")


def _native_id(index: int, name: str) -> str:
    return f"functions.{name}:{index}"


def _label(call: ToolCall) -> str:
    native = call.id.startswith(("functions.", f"{call.name}:")) and call.name in call.id
    return call.id if native else _native_id(call.index, call.name)


def _label_shape(name: str) -> Shape:
    return sequence(Literal(f"functions.{name}:"), NUMBER)


KIMI_K2 = Format(
    name="kimi_k2",
    aliases=("kimi_k25", "kimi_k26", "kimi", "kimi-k2"),
    summary="<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{...}<|tool_call_end|>",
    models="Kimi K2, K2.5, K2.6, K2 Thinking",
    notes=("The id `functions.NAME:INDEX` carries the name; it is kept as the id of the call.",),
    bodies=(
        NamedJson(
            call=Head(
                open=_BEGIN,
                rest=r"\s*(?P<id>(?:functions\.)?(?P<name>[A-Za-z_][\w.\-/]*):\d+"
                r"|functions\.(?P<name1>[\w.\-/]+)|(?P<name2>[A-Za-z_][\w.\-/]*)|[^\s<]*)"
                r"\s*<\|tool_call_argument_begin\|>",
                end=_ARGUMENTS,
                write=_BEGIN + "{name}" + _ARGUMENTS,
                sure=True,
            ),
            close="<|tool_call_end|>",
            label=_label,
            label_shape=_label_shape,
            namespace="functions.",
            blocks=_SECTION,
            outer_close=_SECTION[1],
        ),
    ),
    thinking=(Thinking(lead="", tail="", gap=""),),
    framing=(*_SECTION, "<|tool_call_section_begin|>", "<|tool_call_section_end|>", "<|im_end|>"),
    turn=r"<\|im_assistant\|>assistant<\|im_middle\|>",
    call_id=_native_id,
)

FORMATS = (KIMI_K2,)
