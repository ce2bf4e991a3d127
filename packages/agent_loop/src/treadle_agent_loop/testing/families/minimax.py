"""MiniMax M2: brackets of its own, an open thinking block is prefilled, old thinking is dropped."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{{- ']~!b[]~b]system\n' }}
{%- if messages[0].role == 'system' %}
{{- messages[0].content }}
{%- else %}
{{- 'You are a warp.' }}
{%- endif %}
{%- if tools %}
{{- '\n\n# Tools\n<tools>\n' }}
{%- for tool in tools %}{{ '<tool>' + (tool.function | tojson) + '</tool>\n' }}{% endfor %}
{{- '</tools>' }}
{%- endif %}
{{- '[e~[\n' }}
{%- set ns = namespace(asked=-1) %}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- set ns.asked = loop.index0 %}
{%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- ']~b]ai\n' }}
{%- if message.reasoning_content and loop.index0 > ns.asked %}
{{- '<think>\n' + message.reasoning_content + '\n</think>\n\n' }}
{%- endif %}
{{- message.content }}
{%- if message.tool_calls %}
{{- '\n<minimax:tool_call>\n' }}
{%- for call in message.tool_calls %}
{{- '<invoke name="' + call.function.name + '">\n' }}
{%- for name, value in call.function.arguments.items() %}
{{- '<parameter name="' + name + '">' + (value if value is string else value | tojson)
    + '</parameter>\n' }}
{%- endfor %}
{{- '</invoke>\n' }}
{%- endfor %}
{{- '</minimax:tool_call>' }}
{%- endif %}
{{- '[e~[\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{ ']~b]tool' }}{% endif %}
{{- '\n<response>' + message.content + '</response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '[e~[\n' }}{% endif %}
{%- elif message.role == 'user' or not loop.first %}
{{- ']~b]' + message.role + '\n' + message.content + '[e~[\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ ']~b]ai\n<think>\n' }}{% endif %}"""

FAMILY = Family(
    name="minimax",
    template=_TEMPLATE,
    parser="minimax_m2",
    control=("]~!b[", "]~b]", "[e~["),
    added=("<think>", "</think>", "<minimax:tool_call>", "</minimax:tool_call>"),
    close="[e~[",
    forgets_thinking=True,
)
