"""Hunyuan 4: as Hunyuan 3, every tag with a suffix of the checkpoint."""

from functools import lru_cache

from treadle_parsers.bodies.suffixed_calls import SuffixedCalls
from treadle_parsers.bodies.tagged_calls import Block, TaggedCalls
from treadle_parsers.format import Format
from treadle_parsers.tagged import Head
from treadle_parsers.taggedwrite import Layout


@lru_cache(maxsize=64)
def _calls(suffix: str) -> TaggedCalls:
    def tag(name: str) -> str:
        return f"<{name}:{suffix}>"

    return TaggedCalls(
        call=Head(
            open=tag("tool_call"),
            rest=r"\s*(?P<name>[^\s<>]+)\s*",
            end="<",
            write=tag("tool_call") + "{name}",
            sure=True,
        ),
        call_close=tag("/tool_call"),
        param=Head(
            open=tag("arg_key"),
            rest=rf"(?P<name>[^<>]*){tag('/arg_key')}\s*{tag('arg_value')}",
            end=tag("arg_value"),
            write=tag("arg_key") + "{name}" + tag("/arg_key") + "\n" + tag("arg_value"),
        ),
        param_close=tag("/arg_value"),
        blocks=(Block(open=tag("tool_calls"), close=tag("/tool_calls")),),
        layout=Layout(before_value="", after_value="", one_block=True),
    )


HY_V4 = Format(
    name="hy_v4",
    summary="<tool_calls:SUFFIX><tool_call:SUFFIX>f<arg_key:SUFFIX>x</arg_key:SUFFIX>...",
    models="Hunyuan 4",
    notes=("The suffix differs between checkpoints: any is read, the default one is rendered.",),
    bodies=(
        SuffixedCalls(
            open="<tool_calls:", call_open="<tool_call:", calls=_calls, default="6124c78e"
        ),
    ),
)

FORMATS = (HY_V4,)
