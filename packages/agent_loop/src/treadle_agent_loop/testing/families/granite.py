"""Granite: roles between two tokens, a turn of its own for the tools, calls after a token."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{{- '<|start_of_role|>system<|end_of_role|>' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content }}
{%- else %}{{ 'Today is a day in May. You are a bobbin.' }}
{%- endif %}
{{- '<|end_of_text|>\n' }}
{%- if tools %}
{{- '<|start_of_role|>available_tools<|end_of_role|>' + (tools | tojson(indent=4))
    + '<|end_of_text|>\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|start_of_role|>assistant<|end_of_role|>' + message.content }}
{%- for call in message.tool_calls or [] %}
{{- '<|tool_call|>[' if loop.first else ', ' }}
{{- '{"name": "' + call.function.name + '", "arguments": '
    + (call.function.arguments | tojson) + '}' }}
{%- if loop.last %}{{ ']' }}{% endif %}
{%- endfor %}
{{- '<|end_of_text|>\n' }}
{%- elif message.role == 'tool' %}
{{- '<|start_of_role|>tool_response<|end_of_role|>' + message.content + '<|end_of_text|>\n' }}
{%- elif message.role == 'user' or not loop.first %}
{{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content
    + '<|end_of_text|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"""

FAMILY = Family(
    name="granite",
    template=_TEMPLATE,
    parser="granite",
    control=("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"),
    close="<|end_of_text|>",
)
