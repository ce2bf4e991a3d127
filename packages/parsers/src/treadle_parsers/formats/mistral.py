"""Mistral: `[TOOL_CALLS]`, then a name and JSON, or a JSON array in the older tokenizers."""

import zlib

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head

_OPEN = "[TOOL_CALLS]"
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _short_id(index: int, name: str) -> str:
    """Return nine letters and digits, which is what the chat template demands."""
    number = (zlib.crc32(name.encode("utf-8", "surrogatepass")) << 16) + index
    digits: list[str] = []
    for _ in range(9):
        number, digit = divmod(number, 62)
        digits.append(_LETTERS[digit])
    return "".join(digits)


MISTRAL = Format(
    name="mistral",
    aliases=("magistral", "ministral", "ministral3", "devstral"),
    summary='[TOOL_CALLS]f[ARGS]{"x": 1}, or [TOOL_CALLS] [{"name": "f", "arguments": {...}}]',
    models="Mistral with tokenizers v3 to v15, Magistral, Ministral 3, Devstral",
    signature=("[TOOL_CALLS]",),
    bodies=(
        NamedJson(
            call=Head(
                open=_OPEN,
                rest=r"\s*(?:(?P<name>[A-Za-z_][\w.\-/]*)\s*(?:\[CALL_ID\]\s*(?P<id>\w+)\s*)?"
                r"(?:\[ARGS\])?|\[ARGS\])\s*(?=\{)",
                end="{",
                write=_OPEN + "{name}[ARGS]",
            )
        ),
        JsonArray(open=_OPEN),
    ),
    thinking=(Thinking(open="[THINK]", close="[/THINK]", lead="", tail="", gap=""), Thinking()),
    calls_in_thinking=False,
    framing=("</s>",),
    turn=r"\[/INST\]|\[/TOOL_RESULTS\]",
    call_id=_short_id,
)

FORMATS = (MISTRAL,)
