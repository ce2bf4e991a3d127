"""Llama 3 and 4 with JSON: objects without markers, or after `<|python_tag|>`."""

from treadle_parsers.bodies.bare_json import BareJson
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Format
from treadle_parsers.jsonfields import JsonKeys

_KEYS = JsonKeys(arguments=("parameters", "arguments"))

LLAMA3_JSON = Format(
    name="llama3_json",
    aliases=("llama3", "llama4_json"),
    summary='{"name": "f", "parameters": {"x": 1}}; {...}',
    models="Llama 3.1 to 3.3, Llama 4 with a JSON template",
    notes=(
        "Calls have no marker: an object in running text is a call only when it begins with the "
        "name.",
    ),
    signature=('{"name": ', '"parameters": ', "<|eot_id|>"),
    bodies=(BareJson(tag="<|python_tag|>", keys=_KEYS), JsonCall()),
    framing=("<|eom_id|>", "<|eot_id|>"),
)

FORMATS = (LLAMA3_JSON,)
