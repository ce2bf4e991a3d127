"""Phi-4 mini: one token a role and one close, tools inside the system turn, calls as one list."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{%- for message in messages %}
{%- if message.role == 'system' and tools and loop.first %}
{{- '<|system|>' + message.content + '<|tool|>' + (tools | tojson) + '<|/tool|><|end|>' }}
{%- elif message.role == 'assistant' %}
{{- '<|assistant|>' + message.content }}
{%- for call in message.tool_calls or [] %}
{{- 'functools[' if loop.first else ', ' }}
{{- '{"name": "' + call.function.name + '", "arguments": '
    + (call.function.arguments | tojson) + '}' }}
{%- if loop.last %}{{ ']' }}{% endif %}
{%- endfor %}
{{- '<|end|>' }}
{%- elif message.role == 'tool' %}
{{- '<|tool_response|>' + message.content + '<|end|>' }}
{%- else %}
{%- if loop.first and tools %}
{{- '<|system|><|tool|>' + (tools | tojson) + '<|/tool|><|end|>' }}
{%- endif %}
{{- '<|' + message.role + '|>' + message.content + '<|end|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"""

FAMILY = Family(
    name="phi4",
    template=_TEMPLATE,
    parser="phi4_mini_json",
    control=(
        "<|endoftext|>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|tool|>",
        "<|/tool|>",
        "<|tool_response|>",
        "<|end|>",
    ),
    close="<|end|>",
    other_closes=("<|endoftext|>",),
)
