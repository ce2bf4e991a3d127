"""gpt-oss: channels; analysis is dropped after a final message, whose close changes then."""

from treadle_agent_loop.testing.families.base import Family

_TEMPLATE = r"""
{{- "<|start|>system<|message|>You are a small model.\n" }}
{{- "# Valid channels: analysis, commentary, final." }}
{{- '<|end|>' }}
{%- if messages[0].role == 'system' or tools %}
{{- '<|start|>developer<|message|>' }}
{%- if messages[0].role == 'system' %}
{{- '# Instructions\n\n' + messages[0].content + '\n\n' }}
{%- endif %}
{%- if tools %}
{{- '# Tools\n\nnamespace functions {\n' }}
{%- for tool in tools %}
{{- '// ' + (tool.function.description or '') + '\ntype ' + tool.function.name + ' = (_: ' }}
{{- (tool.function.parameters | tojson) + ') => any;\n' }}
{%- endfor %}
{{- '}' }}
{%- endif %}
{{- '<|end|>' }}
{%- endif %}
{%- set ns = namespace(final=-1, called='') %}
{%- for message in messages %}
{%- if message.role == 'assistant' and not message.tool_calls %}
{%- set ns.final = loop.index0 %}
{%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{%- set last = loop.last and not add_generation_prompt %}
{%- if message.reasoning_content and (last or (message.tool_calls and loop.index0 > ns.final)) %}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.reasoning_content + '<|end|>' }}
{%- endif %}
{%- if message.tool_calls and message.content %}
{{- '<|start|>assistant<|channel|>commentary<|message|>' + message.content + '<|end|>' }}
{%- endif %}
{%- for call in message.tool_calls or [] %}
{{- '<|start|>assistant to=functions.' + call.function.name
    + '<|channel|>commentary json<|message|>' }}
{{- (call.function.arguments | tojson) + '<|call|>' }}
{%- set ns.called = call.function.name %}
{%- endfor %}
{%- if not message.tool_calls %}
{{- '<|start|>assistant<|channel|>final<|message|>' + message.content }}
{{- '<|return|>' if last else '<|end|>' }}
{%- endif %}
{%- elif message.role == 'tool' %}
{{- '<|start|>functions.' + ns.called + ' to=assistant<|channel|>commentary<|message|>' }}
{{- (message.content | tojson) + '<|end|>' }}
{%- elif message.role == 'user' or not loop.first %}
{{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"""

FAMILY = Family(
    name="harmony",
    template=_TEMPLATE,
    parser="harmony",
    control=(
        "<|start|>",
        "<|end|>",
        "<|message|>",
        "<|channel|>",
        "<|constrain|>",
        "<|return|>",
        "<|call|>",
    ),
    close="<|return|>",
    other_closes=("<|call|>",),
    forgets_thinking=True,
)
