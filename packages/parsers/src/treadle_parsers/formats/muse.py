"""Muse: channels by recipient, and tagged arguments in the messages for tools."""

from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.channels import Channels
from treadle_parsers.format import Format, Frame
from treadle_parsers.tagged import NAME_ATTRIBUTE, Head
from treadle_parsers.taggedwrite import Layout

_REST = NAME_ATTRIBUTE + r"[^>]*>"


def _muse(name: str, aliases: tuple[str, ...], models: str, *, self_typed: bool) -> Format:
    return Format(
        name=name,
        aliases=aliases,
        summary='<|start|>assistant to=f<|message|><atem:function_calls><atem:invoke name="f">...',
        models=models,
        signature=("atem:function_calls", "<|message|>"),
        reasoning_frame=Frame(open="<|start|>assistant to=self<|message|>", close="<|eom|>"),
        content_frame=Frame(open="<|start|>assistant to=user<|message|>", close="<|eom|>"),
        bodies=(
            Channels(
                tool=TaggedCalls(
                    call=Head(
                        open="<atem:invoke",
                        rest=_REST,
                        end=">",
                        write='<atem:invoke name="{name}">',
                    ),
                    call_close="</atem:invoke>",
                    param=Head(
                        open="<atem:parameter",
                        rest=_REST,
                        end=">",
                        write='<atem:parameter name="{name}">',
                    ),
                    param_close="</atem:parameter>",
                    blocks=(Block(open="<atem:function_calls>", close="</atem:function_calls>"),),
                    doubled=True,
                    self_typed=self_typed,
                    guess=self_typed,
                    layout=Layout(
                        before_value="",
                        after_value="",
                        message="<|start|>assistant to={name}<|message|>",
                        between="<|eom|>",
                    ),
                ),
                starts=("<|start|>",),
                lone="to=",
                reasoning=frozenset({"self"}),
                people=frozenset({"user", "commentary", "assistant"}),
                hidden=frozenset({"developer", "system"}),
                untold=True,
            ),
        ),
        thinking=(),
        framing=("<|eom|>", "<|eot|>"),
        turn=r"(?s)\A(?:.*<\|start\|>(?!assistant))?"
        r"(?:(?!<\|start\|>assistant).)*(?=<\|start\|>assistant)",
    )


MUSE = _muse("muse", ("musespark1x",), "Muse Spark", self_typed=False)
MUSE_GLIMMER = _muse("muse_glimmer", ("glimmer", "muse-glimmer"), "Muse Glimmer", self_typed=True)

FORMATS = (MUSE, MUSE_GLIMMER)
