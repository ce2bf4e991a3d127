"""DeepSeek V3: the answer follows a tool result without a header, calls hold JSON in a fence."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{{- '<｜begin▁of▁sentence｜>' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}
{%- if tools %}
{{- '\n\n# Tools\n' }}
{%- for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}
{{- '\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' %}
{{- '<｜User｜>' + message.content + '<｜Assistant｜>' }}
{%- elif message.role == 'system' and not loop.first %}
{{- '<｜User｜>' + message.content }}
{%- elif message.role == 'assistant' %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}
{{- '<｜tool▁calls▁begin｜>' if loop.first else '\n' }}
{{- '<｜tool▁call▁begin｜>function<｜tool▁sep｜>' + call.function.name + '\n```json\n' }}
{{- (call.function.arguments | tojson) + '\n```<｜tool▁call▁end｜>' }}
{%- if loop.last %}{{ '<｜tool▁calls▁end｜>' }}{% endif %}
{%- endfor %}
{{- '<｜end▁of▁sentence｜>' }}
{%- elif message.role == 'tool' %}
{%- set first = loop.first or messages[loop.index0 - 1].role != 'tool' %}
{{- '<｜tool▁outputs▁begin｜>' if first else '\n' }}
{{- '<｜tool▁output▁begin｜>' + message.content + '<｜tool▁output▁end｜>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
{{- '<｜tool▁outputs▁end｜>' }}
{%- endif %}
{%- endif %}
{%- endfor %}"""

FAMILY = Family(
    name="deepseek_v3",
    template=_TEMPLATE,
    parser="deepseek_v3",
    control=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
    added=(
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
        "<｜tool▁outputs▁begin｜>",
        "<｜tool▁output▁begin｜>",
        "<｜tool▁output▁end｜>",
        "<｜tool▁outputs▁end｜>",
    ),
    close="<｜end▁of▁sentence｜>",
)
