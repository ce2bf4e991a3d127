"""A checkpoint's response template becomes a format, or is refused by name."""

import pytest

from treadle_parsers import Parser, TemplateError
from treadle_parsers.response_template import format_from_response_template

TEMPLATE = {
    "version": 1,
    "fields": {
        "thinking": {"open": "<t>", "close": "</t>"},
        "content": {"close": "<end>", "open": "<say>"},
        "tool_calls": {
            "open": "<c>",
            "close": "</c>",
            "content": "json",
            "repeats": True,
            "transform": {"function": {"name": "{content.tool}", "arguments": "{content.args}"}},
        },
    },
}


def test_a_template_with_literal_anchors_is_a_format():
    parser = Parser(format_from_response_template(TEMPLATE))
    message = parser.parse('<t>hm</t><say>Hi<end><c>{"tool": "f", "args": {"x": 1}}</c>')
    assert (message.reasoning, message.content) == ("hm", "Hi")
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("f", '{"x": 1}')]
    assert parser.parse(parser.render(message.tool_calls)).tool_calls[0].arguments == '{"x": 1}'


def test_an_array_of_calls_is_read():
    fields = {"tool_calls": {"open": "[TOOLS]", "content": "json"}}
    parser = Parser(format_from_response_template({"fields": fields}))
    message = parser.parse('[TOOLS][{"name": "f", "arguments": {}}, {"name": "g"}]')
    assert [call.name for call in message.tool_calls] == ["f", "g"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tool_calls": {"open_pattern": "<c>", "content": "json"}}, "literal"),
        ({"tool_calls": {"open": "<c>", "content": "xml-inline"}}, "xml-inline"),
        ({"thinking": {"open": "<t>", "close_pattern": "x"}}, "literal"),
        (None, "version 1"),
    ],
)
def test_what_cannot_be_expressed_is_refused(fields, reason):
    with pytest.raises(TemplateError, match=reason):
        format_from_response_template({"version": 1, "fields": fields})
