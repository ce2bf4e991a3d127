"""Kimi K2: a name and a middle token a turn; calls and results are written with their ids."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{%- if tools %}{{ '<|im_system|>tool_declare<|im_middle|>' + (tools | tojson)
    + '<|im_end|>' }}{% endif %}
{%- if messages[0].role != 'system' %}
{{- '<|im_system|>system<|im_middle|>You are a shuttle.<|im_end|>' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_assistant|>assistant<|im_middle|>' + message.content }}
{%- for call in message.tool_calls or [] %}
{%- if loop.first %}{{ '<|tool_calls_section_begin|>' }}{% endif %}
{{- '<|tool_call_begin|>' + call.id + '<|tool_call_argument_begin|>' }}
{{- (call.function.arguments | tojson) + '<|tool_call_end|>' }}
{%- if loop.last %}{{ '<|tool_calls_section_end|>' }}{% endif %}
{%- endfor %}
{%- elif message.role == 'tool' %}
{{- '<|im_system|>tool<|im_middle|>## Return of ' + (message.tool_call_id or '') + '\n'
    + message.content }}
{%- else %}
{{- '<|im_' + message.role + '|>' + message.role + '<|im_middle|>' + message.content }}
{%- endif %}
{{- '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_assistant|>assistant<|im_middle|>' }}{% endif %}"""

FAMILY = Family(
    name="kimi_k2",
    template=_TEMPLATE,
    parser="kimi_k2",
    control=(
        "[BOS]",
        "[EOS]",
        "<|im_end|>",
        "<|im_user|>",
        "<|im_assistant|>",
        "<|im_system|>",
        "<|im_middle|>",
    ),
    added=(
        "<|tool_calls_section_begin|>",
        "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        "<|tool_calls_section_end|>",
    ),
    close="<|im_end|>",
    other_closes=("[EOS]",),
)
