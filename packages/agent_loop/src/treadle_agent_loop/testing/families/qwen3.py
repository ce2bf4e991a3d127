"""Qwen3: ChatML; reasoning before the last question is dropped, later reasoning is kept."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{%- if tools %}
{{- '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content + '\n\n' }}{% endif %}
{{- '# Tools\n\n<tools>' }}
{%- for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}
{{- '\n</tools>\n\nAnswer with <tool_call>\n{"name": ..., "arguments": ...}\n</tool_call>' }}
{{- '<|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(asked=messages | length - 1, looking=true) %}
{%- for message in messages[::-1] %}
{%- set place = messages | length - 1 - loop.index0 %}
{%- if ns.looking and message.role == 'user'
    and not message.content.startswith('<tool_response>') %}
{%- set ns.asked = place %}{% set ns.looking = false %}
{%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{%- set ns.content = message.content %}
{%- set ns.thought = message.reasoning_content or '' %}
{%- if not ns.thought and '</think>' in message.content %}
{%- set ns.content = message.content.split('</think>')[-1].lstrip('\n') %}
{%- set ns.thought = message.content.split('</think>')[0].split('<think>')[-1].strip('\n') %}
{%- endif %}
{{- '<|im_start|>assistant\n' }}
{%- if loop.index0 > ns.asked and (loop.last or ns.thought) %}
{{- '<think>\n' + ns.thought.strip('\n') + '\n</think>\n\n' + ns.content.lstrip('\n') }}
{%- else %}
{{- ns.content }}
{%- endif %}
{%- for call in message.tool_calls or [] %}
{%- if not loop.first or ns.content %}{{ '\n' }}{% endif %}
{{- '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
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
    name="qwen3",
    template=_TEMPLATE,
    parser="hermes",
    control=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    close="<|im_end|>",
    other_closes=("<|endoftext|>",),
    added=(
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "</tool_response>",
    ),
    forgets_thinking=True,
)
