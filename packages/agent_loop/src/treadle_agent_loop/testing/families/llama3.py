"""Llama 3: role headers, stripped content, tools in the first user message, results as JSON."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{{- '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday: 3 May.\n\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content | trim }}{% endif %}
{{- '<|eot_id|>' }}
{%- set ns = namespace(listed=false) %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' + (message.content | trim) }}
{%- for call in message.tool_calls or [] %}
{%- if not loop.first %}{{ '; ' }}{% endif %}
{{- '{"name": "' + call.function.name + '", "parameters": '
    + (call.function.arguments | tojson) + '}' }}
{%- endfor %}
{{- '<|eot_id|>' }}
{%- elif message.role == 'tool' %}
{{- '<|start_header_id|>ipython<|end_header_id|>\n\n' + (message.content | tojson) + '<|eot_id|>' }}
{%- elif message.role == 'user' or not loop.first %}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
{%- if tools and message.role == 'user' and not ns.listed %}
{%- set ns.listed = true %}
{{- 'Answer with the JSON of a call to one of these functions.\n\n' }}
{%- for tool in tools %}{{ (tool | tojson(indent=2)) + '\n\n' }}{% endfor %}
{%- endif %}
{{- (message.content | trim) + '<|eot_id|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"""

FAMILY = Family(
    name="llama3",
    template=_TEMPLATE,
    parser="llama3_json",
    control=(
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|python_tag|>",
    ),
    close="<|eot_id|>",
    other_closes=("<|eom_id|>",),
)
