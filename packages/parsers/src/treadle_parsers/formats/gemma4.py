"""Gemma 4: `call:NAME{...}` in a notation with string delimiters of its own."""

from treadle_parsers.bodies.literal_calls import LiteralCalls
from treadle_parsers.dialects import Dialect, Quote
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head

_WORDS = {"true": "true", "false": "false", "null": "null", "None": "null"}

_HEAD = r"\s*(?:call)?:?\s*(?P<name>[^\s{}<>:]+)\s*(?=\{)"


def _dialect(mark: str) -> Dialect:
    return Dialect(
        quotes=(Quote(mark, mark, escapes=False), Quote('"', '"')),
        words=_WORDS,
        bare_strings=True,
        bare_stop=r"[,\[\]{}]|<\|tool_call>|<tool_call\|>",
        key_stop=r"[:,\[\]{}]",
    )


GEMMA4 = Format(
    name="gemma4",
    aliases=("gemma-4",),
    summary='<|tool_call>call:f{x:<|"|>text<|"|>,n:1}<tool_call|>',
    models="Gemma 4",
    bodies=(
        LiteralCalls(
            call=Head(
                open="<|tool_call>", rest=_HEAD, end="{", write="<|tool_call>call:{name}", sure=True
            ),
            close="<tool_call|>",
            dialect=_dialect('<|"|>'),
            sort=True,
            null="None",
        ),
    ),
    thinking=(
        Thinking(open="<|channel>thought\n", close="<channel|>", lead="", tail="", gap=""),
        Thinking(open="<|channel>thought", close="<channel|>"),
        Thinking(open="<|channel>", close="<channel|>"),
    ),
    content_last=True,
    framing=("<turn|>", "<|tool_response>"),
    turn=r"<\|turn>model\n",
)

FORMATS = (GEMMA4,)
