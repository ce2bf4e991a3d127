"""Small chat templates, one per way in which real ones differ. Written for tests; no model uses
them.
"""

from collections.abc import Mapping

_TOOLS_BLOCK = """\
{%- macro tool_list() %}
{{- '# Tools\n<tools>' }}
{%- for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}
{{- '\n</tools>' }}
{%- endmacro %}
{%- macro thought_of(message) %}
{%- if message.reasoning_content %}
{{- '<think>' + message.reasoning_content + '</think>' }}
{%- endif %}
{%- endmacro %}
{%- macro calls_of(message) %}
{%- for call in message.tool_calls or [] %}
{{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}\n</tool_call>' }}
{%- endfor %}
{%- endmacro %}
"""

_CHATML_SYSTEM = """\
{%- if tools %}
{{- '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content + '\n\n' }}{% endif %}
{{- tool_list() + '<|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
"""

_CHATML_OTHERS = """\
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}
{{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}
{%- elif message.role == 'user' or not loop.first %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
"""

_APPEND = (
    _TOOLS_BLOCK
    + _CHATML_SYSTEM
    + """\
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\n' }}
{%- if message.reasoning_content %}
{{- '<think>\n' + message.reasoning_content + '\n</think>\n\n' }}
{%- endif %}
{{- message.content + calls_of(message) + '<|im_end|>\n' }}
"""
    + _CHATML_OTHERS
    + "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_FORGETS_THINKING = (
    _TOOLS_BLOCK
    + _CHATML_SYSTEM
    + """\
{%- set ns = namespace(query=0) %}
{%- for message in messages %}
{%- if message.role == 'user' %}{% set ns.query = loop.index0 %}{% endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\n' }}
{%- if loop.index0 > ns.query and (loop.last or message.reasoning_content) %}
{{- '<think>\n' + (message.reasoning_content or '') + '\n</think>\n\n' }}
{%- endif %}
{{- message.content.lstrip('\n') + calls_of(message) + '<|im_end|>\n' }}
"""
    + _CHATML_OTHERS
    + "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_PREFILLS_THINKING = _APPEND.replace(
    "{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}",
)

_STRIPS = _APPEND.replace("message.content +", "message.content | trim +").replace(
    "messages[0].content +", "messages[0].content | trim +"
)

_DEFAULT_SYSTEM = (
    "{%- if messages[0].role != 'system' %}"
    "{{ '<|im_start|>system\nYou are a small model.<|im_end|>\n' }}{% endif %}" + _APPEND
)

_HEADERS = (
    _TOOLS_BLOCK
    + """\
{{- '<|begin|>' }}
{%- if tools %}{{ '<|head|>environment<|sep|>\n\n' + tool_list() + '<|eot|>' }}{% endif %}
{%- for message in messages %}
{{- '<|head|>' + message.role + '<|sep|>\n\n' }}
{{- thought_of(message) }}
{{- message.content + calls_of(message) }}
{{- '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|head|>assistant<|sep|>\n\n' }}{% endif %}"""
)

_NO_CLOSE = (
    _TOOLS_BLOCK
    + """\
{%- if tools %}{{ '<|system|>\n' + tool_list() }}{% endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{ '<|observation|>' }}{% endif %}
{{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
{%- else %}
{{- '<|' + message.role + '|>\n' }}
{{- thought_of(message) }}
{{- message.content + calls_of(message) }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"""
)

_BRACKETS = (
    _TOOLS_BLOCK
    + """\
{{- '<|begin|>' }}
{%- if tools %}{{ '[TOOLS]' + tool_list() + '[/TOOLS]' }}{% endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- thought_of(message) }}
{{- message.content + calls_of(message) + '</s>' }}
{%- elif message.role == 'tool' %}
{{- '[RESULT]' + ({'content': message.content} | tojson) + '[/RESULT]' }}
{%- else %}
{{- '[INST]' + message.content + '[/INST]' }}
{%- endif %}
{%- endfor %}"""
)

_PLAIN = (
    _TOOLS_BLOCK
    + """\
{%- if tools %}{{ tool_list() + '\n' }}{% endif %}
{%- for message in messages %}
{{- message.role + ': ' }}
{{- thought_of(message) }}
{{- message.content + calls_of(message) + '\n\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"""
)

TEMPLATES: Mapping[str, str] = {
    "append": _APPEND,
    "forgets_thinking": _FORGETS_THINKING,
    "prefills_thinking": _PREFILLS_THINKING,
    "strips": _STRIPS,
    "default_system": _DEFAULT_SYSTEM,
    "headers": _HEADERS,
    "no_close": _NO_CLOSE,
    "brackets": _BRACKETS,
    "plain": _PLAIN,
}
"""By what they do: `append` only appends; `forgets_thinking` drops reasoning before the last user
message; `prefills_thinking` opens a thinking block in the generation prompt that history leaves
out; `strips` trims content; `default_system` adds a system prompt; `headers` closes turns with one
token for all roles; `no_close` ends a turn with the next role; `brackets` has one close for the
model alone; `plain` has no control tokens at all."""

CLOSES: Mapping[str, str | None] = {
    "headers": "<|eot|>",
    "no_close": None,
    "brackets": "</s>",
    "plain": None,
}
"""The token that ends the model's turn, where it isn't `<|im_end|>`."""
