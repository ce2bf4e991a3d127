"""DeepSeek V3.1: a closed thinking block is prefilled, and written again before answers."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{{- '<｜begin▁of▁sentence｜>' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}
{%- if tools %}
{{- '\n\n## Tools\n' }}
{%- for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}
{{- '\n' }}
{%- endif %}
{%- set ns = namespace(asked=false) %}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- set ns.asked = true %}
{{- '<｜User｜>' + message.content }}
{%- elif message.role == 'system' and not loop.first %}
{{- '<｜User｜>' + message.content }}
{%- elif message.role == 'assistant' %}
{%- if ns.asked %}{{ '<｜Assistant｜></think>' }}{% endif %}
{%- set ns.asked = false %}
{{- message.content.split('</think>', 1)[1] if '</think>' in message.content else message.content }}
{%- for call in message.tool_calls or [] %}
{%- if loop.first %}{{ '<｜tool▁calls▁begin｜>' }}{% endif %}
{{- '<｜tool▁call▁begin｜>' + call.function.name + '<｜tool▁sep｜>' }}
{{- (call.function.arguments | tojson) + '<｜tool▁call▁end｜>' }}
{%- if loop.last %}{{ '<｜tool▁calls▁end｜>' }}{% endif %}
{%- endfor %}
{{- '<｜end▁of▁sentence｜>' }}
{%- elif message.role == 'tool' %}
{%- set ns.asked = false %}
{{- '<｜tool▁output▁begin｜>' + message.content + '<｜tool▁output▁end｜>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt and ns.asked %}{{ '<｜Assistant｜></think>' }}{% endif %}"""

FAMILY = Family(
    name="deepseek_v31",
    template=_TEMPLATE,
    parser="deepseek_v31",
    control=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
    added=(
        "<think>",
        "</think>",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
        "<｜tool▁output▁begin｜>",
        "<｜tool▁output▁end｜>",
    ),
    close="<｜end▁of▁sentence｜>",
    forgets_thinking=True,
)
