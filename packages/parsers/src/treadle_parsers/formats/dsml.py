"""DeepSeek's DSML: `invoke` and `parameter` tags whose `string` attribute says what is JSON."""

from dataclasses import replace

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head
from treadle_parsers.taggedwrite import Layout

_REST = NAME_ATTRIBUTE + r"""(?:\s+string\s*=\s*["']?(?P<string>true|false)["']?)?[^>]*>"""
_LAYOUT = Layout(before_value="", after_value="", one_block=True)
_DEEPSEEK_TURN = r"<｜Assistant｜>"
_THINKING = Thinking(lead="", tail="", gap="")


_MARKS = ("｜DSML｜", "｜DSML｜ ", "｜｜DSML｜｜")
"""Ways in which the models write the mark: one is right for a checkpoint, all are read."""


def _calls(mark: str, blocks: tuple[str, ...], layout: Layout = _LAYOUT) -> TaggedCalls:
    return TaggedCalls(
        call=Head(
            open=f"<{mark}invoke", rest=_REST, end=">", write=f'<{mark}invoke name="{{name}}">'
        ),
        call_close=f"</{mark}invoke>",
        param=Head(
            open=f"<{mark}parameter",
            rest=_REST,
            end=">",
            write=f'<{mark}parameter name="{{name}}" string="{{string}}">',
        ),
        param_close=f"</{mark}parameter>",
        blocks=tuple(Block(open=f"<{mark}{block}>", close=f"</{mark}{block}>") for block in blocks),
        json_body=True,
        guess=True,
        special=True,
        layout=layout,
    )


def _dsml(
    name: str,
    aliases: tuple[str, ...],
    models: str,
    mark: str,
    blocks: tuple[str, ...],
    layout: Layout = _LAYOUT,
) -> Format:
    return Format(
        name=name,
        aliases=aliases,
        summary=f'<{mark}invoke name="f"><{mark}parameter name="x" string="true">...',
        models=models,
        signature=(f"{mark}", f"{blocks[0]}", "invoke"),
        bodies=(
            _calls(mark, blocks, layout),
            *(_calls(other, blocks) for other in _MARKS if other != mark),
        ),
        thinking=(_THINKING,),
        gap="\n\n",
        lead="\n\n",
        framing=("<｜end▁of▁sentence｜>",),
        turn=_DEEPSEEK_TURN,
    )


DEEPSEEK_V32 = _dsml(
    "deepseek_v32",
    ("deepseekv32", "deepseek_v3_2", "deepseek-v3.2"),
    "DeepSeek V3.2",
    "｜DSML｜",
    ("function_calls", "tool_calls"),
)
DEEPSEEK_V4 = _dsml(
    "deepseek_v4",
    ("deepseekv4", "deepseek-v4"),
    "DeepSeek V4",
    "｜DSML｜",
    ("tool_calls", "toolcalls", "tool", "function_calls"),
    replace(_LAYOUT, empty="\n"),
)
DEEPSEEK_V41 = _dsml(
    "deepseek_v41", ("deepseekv41",), "DeepSeek V4.1", "｜DSML｜ ", ("calls", "tool_calls")
)
GIGACHAT35 = Format(
    name="gigachat35",
    summary='<｜GCML｜invoke name="f"><｜GCML｜parameter name="x" string="true">...',
    models="GigaChat 3.5",
    signature=("｜GCML｜",),
    bodies=(
        _calls("｜GCML｜", ("tool_calls", "function_calls")),
        JsonCall(open="<|function_call|>", close="", lead="", between=""),
        JsonCall(
            open="<|message_sep|>\n\nfunction call<|role_sep|>\n", close="", lead="", between=""
        ),
    ),
    thinking=(_THINKING,),
    framing=("</s>", "<|message_sep|>"),
    turn=r"assistant<\|role_sep\|>\n",
)

FORMATS = (DEEPSEEK_V32, DEEPSEEK_V4, DEEPSEEK_V41, GIGACHAT35)
