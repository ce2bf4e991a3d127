"""OpenAI's Harmony: channels, with tools as recipients of messages."""

from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.channels import Channels
from treadle_parsers.format import Format, Frame
from treadle_parsers.tagged import Head

_START = "<|start|>"

HARMONY = Format(
    name="openai",
    aliases=("harmony", "gpt-oss", "gpt_oss"),
    summary='<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"x": 1}<|call|>',
    models="gpt-oss",
    signature=("<|channel|>", "<|message|>", "<|start|>"),
    reasoning_frame=Frame(open=_START + "assistant<|channel|>analysis<|message|>", close="<|end|>"),
    content_frame=Frame(open=_START + "assistant<|channel|>final<|message|>", close="<|end|>"),
    bodies=(
        Channels(
            tool=NamedJson(
                call=Head(
                    open=_START,
                    rest="",
                    end="<|message|>",
                    write=_START + "assistant<|channel|>commentary to=functions.{name} "
                    "<|constrain|>json<|message|>",
                ),
                close="<|call|>",
                also_close=("<|end|>", "<|return|>"),
                namespace="functions.",
            ),
            starts=(_START, "<|channel|>"),
        ),
    ),
    thinking=(),
    framing=("<|end|>", "<|return|>", "<|call|>"),
    turn=r"(?s)\A(?:.*<\|start\|>(?!assistant))?"
    r"(?:(?!<\|start\|>assistant).)*(?=<\|start\|>assistant)",
)

FORMATS = (HARMONY,)
