"""Mistral: `[TOOL_CALLS]`, then a name and JSON, or a JSON array in the older tokenizers."""

import zlib
from collections.abc import Callable
from dataclasses import replace

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.format import Dialect, Format, Thinking
from treadle_parsers.records import ToolCall
from treadle_parsers.shapes import Literal, Pattern, Shape, sequence
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


_NINE = "[a-zA-Z0-9]{9}"
_ID = Pattern(_NINE, _NINE)


def _named(label: Callable[[ToolCall], str], label_shape: Callable[[str], Shape]) -> NamedJson:
    return NamedJson(
        call=Head(
            open=_OPEN,
            rest=r"\s*(?:(?P<name>[A-Za-z_][\w.\-/]*)\s*(?:\[CALL_ID\]\s*(?P<id>\w+)\s*)?"
            r"(?:\[ARGS\])?|\[ARGS\])\s*(?=\{)",
            end="{",
            write=_OPEN + "{name}",
        ),
        label=label,
        label_shape=label_shape,
        special=True,
    )


def _plain(call: ToolCall) -> str:
    """Return what the head of tokenizers v13 and later holds."""
    return f"{call.name}[ARGS]"


def _with_id(call: ToolCall) -> str:
    """Return what the head of tokenizer v11 holds; templates demand nine letters and digits."""
    fits = len(call.id) == 9 and call.id.isalnum() and call.id.isascii()
    return f"{call.name}[CALL_ID]{call.id if fits else _short_id(call.index, call.name)}[ARGS]"


def _with_id_shape(name: str) -> Shape:
    return sequence(Literal(f"{name}[CALL_ID]"), _ID, Literal("[ARGS]"))


_MISTRAL = Format(
    name="mistral",
    aliases=("magistral", "ministral", "ministral3", "devstral"),
    summary='[TOOL_CALLS]f[ARGS]{"x": 1}, or [TOOL_CALLS] [{"name": "f", "arguments": {...}}]',
    models="Mistral with tokenizers v3 to v15, Magistral, Ministral 3, Devstral",
    notes=(
        "Which of the two ways a model writes depends on its tokenizer version; both are read.",
    ),
    signature=("[TOOL_CALLS]",),
    bodies=(
        _named(_plain, lambda name: Literal(f"{name}[ARGS]")),
        JsonArray(open=_OPEN),
    ),
    thinking=(Thinking(open="[THINK]", close="[/THINK]", lead="", tail="", gap=""), Thinking()),
    calls_in_thinking=False,
    framing=("</s>",),
    turn=r"\[/INST\]|\[/TOOL_RESULTS\]",
    call_id=_short_id,
)

MISTRAL = replace(
    _MISTRAL,
    dialects=(
        Dialect(
            name="v11",
            models="Mistral Small 3.2 (tokenizer v11)",
            form=replace(_MISTRAL, bodies=(_named(_with_id, _with_id_shape),)),
        ),
        Dialect(
            name="v3-tekken",
            models="Mistral Nemo (tokenizer v3 in the Tekken vocabulary)",
            form=replace(_MISTRAL, bodies=(JsonArray(open=_OPEN, id_shape=_ID),)),
        ),
        Dialect(
            name="v3",
            models="Mistral 7B v0.3, Mixtral, Mistral Large (tokenizers v2 and v3)",
            form=replace(_MISTRAL, bodies=(JsonArray(open=_OPEN, lead=" ", id_shape=_ID),)),
        ),
    ),
)

FORMATS = (MISTRAL,)
