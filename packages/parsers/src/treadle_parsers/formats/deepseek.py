"""DeepSeek V3 and V3.1: the name between special tokens, then JSON, in V3 inside a code fence."""

from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head

_BEGIN = "<｜tool▁call▁begin｜>"
_END = "<｜tool▁call▁end｜>"
_SEP = "<｜tool▁sep｜>"
_BLOCKS = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")
_FRAMING = (
    *_BLOCKS,
    "<｜end▁of▁sentence｜>",
    "<｜tool▁outputs▁begin｜>",
    "<｜tool▁outputs▁end｜>",
    "<｜tool▁output▁begin｜>",
    "<｜tool▁output▁end｜>",
)
_THINKING = (Thinking(lead="\n", tail="\n", gap="\n\n"),)
_TURN = r"<｜Assistant｜>"

_FENCED = NamedJson(
    call=Head(
        open=_BEGIN + "function" + _SEP,
        rest=r"(?P<name>[^\n<]+?)\s*\n```json\s*",
        end="```json",
        write=_BEGIN + "function" + _SEP + "{name}\n```json\n",
    ),
    close=_END,
    fence="```",
    fence_lead="\n",
    blocks=_BLOCKS,
    between="\n",
    outer_close=_BLOCKS[1],
)
_PLAIN = NamedJson(
    call=Head(
        open=_BEGIN,
        rest=rf"\s*(?P<name>[^\n<]+?)\s*{_SEP}",
        end=_SEP,
        write=_BEGIN + "{name}" + _SEP,
        sure=True,
    ),
    close=_END,
    blocks=_BLOCKS,
    outer_close=_BLOCKS[1],
)

DEEPSEEK_V3 = Format(
    name="deepseek_v3",
    aliases=("deepseekv3", "deepseek_r1", "cogito"),
    summary="<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\\n```json\\n{...}\\n```<｜tool▁call▁end｜>",
    models="DeepSeek V3-0324, R1-0528, Cogito",
    signature=(_BEGIN, _SEP, "```json"),
    bodies=(_FENCED, _PLAIN),
    thinking=_THINKING,
    framing=_FRAMING,
    turn=_TURN,
)

DEEPSEEK_V31 = Format(
    name="deepseek_v31",
    aliases=("deepseekv31", "deepseek_v3_1"),
    summary="<｜tool▁call▁begin｜>f<｜tool▁sep｜>{...}<｜tool▁call▁end｜>",
    models="DeepSeek V3.1, V3.1-Terminus, V3.2-Exp",
    signature=(_BEGIN, _SEP),
    bodies=(_PLAIN, _FENCED),
    thinking=_THINKING,
    framing=_FRAMING,
    turn=_TURN,
)

FORMATS = (DEEPSEEK_V3, DEEPSEEK_V31)
