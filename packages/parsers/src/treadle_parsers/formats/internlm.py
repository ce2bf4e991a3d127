"""InternLM and Intern-S1: a JSON object between action markers."""

from dataclasses import replace

from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.format import Dialect, Format
from treadle_parsers.jsonfields import JsonKeys

_INTERNLM_KEYS = JsonKeys(arguments=("parameters", "arguments"))

_INTERNLM = Format(
    name="internlm",
    aliases=("interns1", "internlm2"),
    summary='<|action_start|><|plugin|>{"name": "f", "parameters": {"x": 1}}<|action_end|>',
    models="InternLM 2.5, Intern-S1",
    bodies=(
        JsonCall(
            open="<|action_start|><|plugin|>",
            close="<|action_end|>",
            keys=_INTERNLM_KEYS,
            between="",
        ),
        JsonCall(open="<|action_start|> <|plugin|>", close="<|action_end|>", keys=_INTERNLM_KEYS),
    ),
    framing=("<|im_end|>",),
)

INTERNLM = replace(
    _INTERNLM,
    dialects=(
        Dialect(
            name="internlm2",
            models="InternLM 2 and 2.5 under the template for tools",
            form=replace(
                _INTERNLM,
                bodies=(
                    JsonCall(
                        open="<|action_start|><|plugin|>",
                        close="<|action_end|>",
                        tail="",
                        between="",
                    ),
                ),
            ),
        ),
    ),
)

FORMATS = (INTERNLM,)
