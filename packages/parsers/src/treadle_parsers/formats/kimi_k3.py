"""Kimi K3: tags between special tokens, with the type of each argument in its tag."""

from treadle_parsers.bodies.tagged_calls import TaggedCalls
from treadle_parsers.format import Format, Frame, Thinking
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout

_OPEN, _CLOSE, _SEP = "<|open|>", "<|close|>", "<|sep|>"


def _framing(*tags: str) -> tuple[str, ...]:
    return tuple(
        f"{side}{space}{tag}{space}{_SEP}"
        for tag in tags
        for side in (_OPEN, _CLOSE)
        for space in ("", " ")
    )


KIMI_K3 = Format(
    name="kimi_k3",
    aliases=("kimi-k3",),
    summary='<|open|>call tool="f" index="1"<|sep|><|open|>argument key="x" type="string"...',
    models="Kimi K3",
    signature=("<|open|>", "<|close|>", "<|sep|>"),
    content_frame=Frame(
        open="<|open|>response<|sep|>", close="<|close|>response<|sep|>", always=True
    ),
    calls_frame=Frame(open="<|open|>tools<|sep|>", close="<|close|>tools<|sep|>"),
    bodies=(
        TaggedCalls(
            call=Head(
                open=_OPEN + "call",
                rest=r'\s+tool="(?P<name>[^"]*)"[^<]*<\|sep\|>',
                end=_SEP,
                write=_OPEN + 'call tool="{name}" index="{index}"' + _SEP,
            ),
            call_close=_CLOSE + "call" + _SEP,
            param=Head(
                open=_OPEN + "argument",
                rest=r'\s+key="(?P<name>[^"]*)"(?:\s+type="(?P<type>[^"]*)")?[^<]*<\|sep\|>',
                end=_SEP,
                write=_OPEN + 'argument key="{name}" type="{type}"' + _SEP,
            ),
            param_close=_CLOSE + "argument" + _SEP,
            xml_names=True,
            special=True,
            layout=Layout(
                block_lead="",
                call_lead="",
                before_value="",
                after_value="",
                after_param="",
                after_call="",
                between="",
            ),
        ),
    ),
    thinking=(
        Thinking(
            open=_OPEN + "think" + _SEP, close=_CLOSE + "think" + _SEP, lead="", tail="", gap=""
        ),
    ),
    framing=(*_framing("response", "tools", "message"), "<|end_of_msg|>"),
    turn=r'<\|open\|>message role="assistant"[^<]*<\|sep\|>',
)

FORMATS = (KIMI_K3,)
