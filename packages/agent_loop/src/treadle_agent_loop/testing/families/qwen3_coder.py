"""Qwen3-Coder: ChatML, calls as XML with one element a parameter, content stripped beside calls."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{%- set ns = namespace(system=messages[0].content if messages[0].role == 'system' else '') %}
{%- if ns.system or tools %}
{{- '<|im_start|>system\n' + (ns.system or 'You work at a loom.') }}
{%- if tools %}
{{- '\n\n# Tools\n<tools>' }}
{%- for tool in tools %}
{{- '\n<function>\n<name>' + tool.function.name + '</name>' }}
{{- '\n<description>' + (tool.function.description or '') + '</description>\n<parameters>' }}
{%- for name, fields in (tool.function.parameters.properties or {}).items() %}
{{- '\n<parameter>\n<name>' + name + '</name>\n<type>' + (fields.type | string)
    + '</type>\n</parameter>' }}
{%- endfor %}
{{- '\n</parameters>\n</function>' }}
{%- endfor %}
{{- '\n</tools>' }}
{%- endif %}
{{- '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' and message.tool_calls %}
{{- '<|im_start|>assistant' }}
{%- if message.content | trim %}{{ '\n' + (message.content | trim) + '\n' }}{% endif %}
{%- for call in message.tool_calls %}
{{- '\n<tool_call>\n<function=' + call.function.name + '>\n' }}
{%- for name, value in call.function.arguments.items() %}
{{- "<parameter=" + name + ">\n" + (value if value is string else value | tojson) }}
{{- "\n</parameter>\n" }}
{%- endfor %}
{{- '</function>\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
{{- '<|im_start|>user\n' }}
{%- endif %}
{{- '<tool_response>\n' + message.content + '\n</tool_response>\n' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}
{%- elif message.role != 'system' or not loop.first %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

FAMILY = Family(
    name="qwen3_coder",
    template=_TEMPLATE,
    parser="qwen3_coder",
    control=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    close="<|im_end|>",
    other_closes=("<|endoftext|>",),
    added=("<tool_call>", "</tool_call>"),
)
