"""OpenAI's Harmony: channels, with tools as recipients of messages."""

from dataclasses import replace

from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.channels import Channels
from treadle_parsers.format import Dialect, Format, Frame
from treadle_parsers.tagged import Head

_START = "<|start|>"


def _channels(header: str) -> Channels:
    return Channels(
        tool=NamedJson(
            call=Head(open=_START, rest="", end="<|message|>", write=_START + header),
            close="<|call|>",
            also_close=("<|end|>", "<|return|>"),
            namespace="functions.",
        ),
        starts=(_START, "<|channel|>"),
    )


_HARMONY = Format(
    name="openai",
    aliases=("harmony", "gpt-oss", "gpt_oss"),
    summary='<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"x": 1}<|call|>',
    models="gpt-oss",
    notes=(
        "Text in `commentary` without a recipient is content; text in `analysis` is reasoning.",
    ),
    signature=("<|channel|>", "<|message|>", "<|start|>"),
    reasoning_frame=Frame(open=_START + "assistant<|channel|>analysis<|message|>", close="<|end|>"),
    content_frame=Frame(open=_START + "assistant<|channel|>final<|message|>", close="<|end|>"),
    bodies=(_channels("assistant to=functions.{name}<|channel|>commentary json<|message|>"),),
    thinking=(),
    framing=("<|end|>", "<|return|>", "<|call|>"),
    turn=r"(?s)\A(?:.*<\|start\|>(?!assistant))?"
    r"(?:(?!<\|start\|>assistant).)*(?=<\|start\|>assistant)",
)

_SAMPLED = "assistant<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"

HARMONY = replace(
    _HARMONY,
    dialects=(
        Dialect(
            name="sampled",
            models="gpt-oss as it writes calls itself, with the recipient in the channel header",
            form=replace(_HARMONY, bodies=(_channels(_SAMPLED),)),
        ),
    ),
)

FORMATS = (HARMONY,)
