"""FunctionGemma: `call:NAME{...}` with `<escape>` around strings."""

from treadle_parsers.bodies.literal_calls import LiteralCalls
from treadle_parsers.dialects import Dialect, Quote
from treadle_parsers.format import Format
from treadle_parsers.tagged import Head

_WORDS = {"true": "true", "false": "false", "null": "null", "None": "null"}

_HEAD = r"\s*(?:call)?:?\s*(?P<name>[^\s{}<>:]+)\s*(?=\{)"


def _dialect(mark: str) -> Dialect:
    return Dialect(
        quotes=(Quote(mark, mark, escapes=False), Quote('"', '"')),
        words=_WORDS,
        bare_strings=True,
        bare_stop=r"[,\[\]{}]|<start_function_call>|<end_function_call>",
        key_stop=r"[:,\[\]{}]",
    )


FUNCTIONGEMMA = Format(
    name="functiongemma",
    aliases=("function_gemma",),
    summary="<start_function_call>call:f{x:<escape>text<escape>,n:1}<end_function_call>",
    models="FunctionGemma",
    bodies=(
        LiteralCalls(
            call=Head(
                open="<start_function_call>",
                rest=_HEAD,
                end="{",
                write="<start_function_call>call:{name}",
                sure=True,
            ),
            close="<end_function_call>",
            dialect=_dialect("<escape>"),
        ),
    ),
    framing=("<end_of_turn>", "<start_function_response>"),
    turn=r"<start_of_turn>model\n",
)

FORMATS = (FUNCTIONGEMMA,)
