"""GLM 4.5: no token ends a turn but the next role, thinking before the last question is emptied."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{{- '[gMASK]<sop>' }}
{%- if tools %}
{{- '<|system|>\n# Tools\n<tools>' }}
{%- for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}
{{- '\n</tools>' }}
{%- endif %}
{%- set ns = namespace(asked=-1) %}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- set ns.asked = loop.index0 %}
{%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|assistant|>\n<think>' }}
{%- if loop.index0 > ns.asked %}{{ (message.reasoning_content or '') | trim }}{% endif %}
{{- '</think>' }}
{%- if message.content | trim %}{{ '\n' + (message.content | trim) }}{% endif %}
{%- for call in message.tool_calls or [] %}
{{- '\n<tool_call>' + call.function.name }}
{%- for name, value in call.function.arguments.items() %}
{{- '\n<arg_key>' + name + '</arg_key>\n<arg_value>' }}
{{- (value if value is string else value | tojson) + '</arg_value>' }}
{%- endfor %}
{{- '\n</tool_call>' }}
{%- endfor %}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
{{- '<|observation|>' }}
{%- endif %}
{{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
{%- else %}
{{- '<|' + message.role + '|>\n' + message.content }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"""

FAMILY = Family(
    name="glm45",
    template=_TEMPLATE,
    parser="glm45",
    control=(
        "<|endoftext|>",
        "[gMASK]",
        "<sop>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|observation|>",
    ),
    added=(
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "</tool_response>",
    ),
    close="<|user|>",
    other_closes=("<|observation|>", "<|endoftext|>"),
    forgets_thinking=True,
)
