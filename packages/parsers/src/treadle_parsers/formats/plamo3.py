"""PLaMo 3: name and JSON arguments between tags of their own."""

from treadle_parsers.bodies.named_json import NamedJson
from treadle_parsers.format import Format, Thinking
from treadle_parsers.tagged import Head


def _tag(name: str) -> str:
    return f"<|plamo:{name}:plamo|>"


_NAME = _tag("begin_tool_name")
_MESSAGE = "<|plamo:msg|>"

PLAMO3 = Format(
    name="plamo3",
    summary="<|plamo:begin_tool_name:plamo|>f<|plamo:end_tool_name:plamo|>...<|plamo:msg|>{...}",
    models="PLaMo 3",
    bodies=(
        NamedJson(
            call=Head(
                open=_NAME,
                rest=r"\s*(?P<name>[^<]*?)\s*<\|plamo:end_tool_name:plamo\|>\s*"
                r"<\|plamo:begin_tool_arguments:plamo\|>\s*(?:<\|plamo:constrain\|>\s*json\s*)?"
                r"<\|plamo:msg\|>",
                end=_MESSAGE,
                write=_tag("begin_tool_request")
                + _NAME
                + "{name}"
                + _tag("end_tool_name")
                + _tag("begin_tool_arguments")
                + "<|plamo:constrain|>json"
                + _MESSAGE,
                sure=True,
            ),
            close=_tag("end_tool_arguments"),
            tail=_tag("end_tool_request"),
            blocks=(_tag("begin_tool_requests"), _tag("end_tool_requests")),
            outer_close=_tag("end_tool_request"),
        ),
    ),
    thinking=(
        Thinking(open=_tag("begin_think"), close=_tag("end_think"), lead="", tail="", gap=""),
    ),
    framing=(
        _tag("begin_tool_requests"),
        _tag("end_tool_requests"),
        _tag("begin_tool_request"),
        _tag("end_tool_request"),
        "<|plamo:tag|>",
    ),
)

FORMATS = (PLAMO3,)
