"""A bare JSON array, as models write it under a grammar for required calls."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Format
from treadle_parsers.jsonfields import JsonKeys

JSON_ARRAY = Format(
    name="json_array",
    aliases=("generic_json", "generic", "default"),
    summary='[{"name": "f", "parameters": {"x": 1}}]',
    models="any model under a grammar for required calls",
    notes=(
        'For texts written under a grammar (`tool_choice="required"`): in free text any array of '
        "objects with a name counts as calls.",
    ),
    signature=(),
    bodies=(
        JsonArray(
            open="[",
            bare=True,
            keys=JsonKeys(arguments=("parameters", "arguments"), wrapper=("function", "tool_call")),
        ),
        JsonArray(open='{"tool_calls":'),
        JsonCall(open='{"tool_call":', close="}", lead=" ", tail=""),
    ),
)

FORMATS = (JSON_ARRAY,)
