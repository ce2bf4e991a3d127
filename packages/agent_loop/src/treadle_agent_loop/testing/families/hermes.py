"""Hermes and Qwen2.5: ChatML, a default system prompt, calls as JSON between tags."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{{- '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content }}
{%- else %}{{ 'You are a small weaver.' }}
{%- endif %}
{%- if tools %}
{{- '\n\n# Tools\n\nSignatures of functions:\n<tools>' }}
{%- for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}
{{- '\n</tools>\n\nCall them with JSON between <tool_call></tool_call>.' }}
{%- endif %}
{{- '<|im_end|>\n' }}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant' }}
{%- if message.content or not message.tool_calls %}{{ '\n' + message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}
{{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
{{- '<|im_start|>user' }}
{%- endif %}
{{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}
{%- elif message.role == 'user' or not loop.first %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

FAMILY = Family(
    name="hermes",
    template=_TEMPLATE,
    parser="hermes",
    control=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    close="<|im_end|>",
    other_closes=("<|endoftext|>",),
    added=("<tool_call>", "</tool_call>"),
)
