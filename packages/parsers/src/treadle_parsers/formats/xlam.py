"""xLAM: a JSON array, bare or after one of several markers."""

from treadle_parsers.bodies.json_array import JsonArray
from treadle_parsers.format import Format

XLAM = Format(
    name="xlam",
    summary='[{"name": "f", "arguments": {"x": 1}}]',
    models="xLAM-2",
    signature=("make calls in a single JSON array",),
    bodies=(
        JsonArray(open="[", bare=True),
        JsonArray(open="```json", close="```"),
        JsonArray(open="[TOOL_CALLS]"),
        JsonArray(open="<tool_call>", close="</tool_call>"),
    ),
)

FORMATS = (XLAM,)
