"""A checkpoint's response template becomes a format that reads what transformers reads, or is
refused with the reason.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle_parsers import (
    CallStatus,
    Parser,
    Span,
    TemplateError,
    ToolCall,
    UnknownParserError,
    get_parser,
)
from treadle_parsers.response_template import find_response_template, format_from_response_template
from treadle_parsers.testing import check_text, pieces

BY_CONTENT = {"function": {"name": "{content.name}", "arguments": "{content.arguments}"}}
BY_CAPTURE = {"type": "function", "function": {"name": "{fn}", "arguments": "{content}"}}
JOINED = {"repeats": True, "join": ""}
"""Content in several places is joined; without that transformers keeps the last."""
THINK = {"open": "<think>", "close": "</think>"}
TEMPLATES: dict[str, dict[str, Any]] = {
    "objects": {
        "start_anchor": "<|im_start|>assistant\n",
        "fields": {
            "thinking": THINK,
            "content": {"close": ["<|im_end|>", "<|endoftext|>"], **JOINED},
            "tool_calls": {
                "open": "<tool_call>",
                "close": "</tool_call>",
                "content": "json",
                "repeats": True,
                "transform": BY_CONTENT,
            },
        },
    },
    "array": {
        "start_anchor": "[/INST]",
        "fields": {
            "content": {"close": "</s>", **JOINED},
            "tool_calls": {
                "open": "[TOOL_CALLS]",
                "close": "</s>",
                "content": "json",
                "transform": {"function": {"name": "{tool}", "arguments": "{args}"}},
                "transform_each": True,
            },
        },
    },
    "headed": {
        "start_anchor_pattern": r"\[/INST\]\s*",
        "fields": {
            "thinking": {"open": "[THINK]", "close": "[/THINK]"},
            "content": {"close": "</s>", **JOINED},
            "tool_calls": {
                "open_pattern": r"\[TOOL_CALLS\](?P<fn>[A-Za-z_][\w.\-]*)\[ARGS\]",
                "close_pattern": r"</s>|(?=\[TOOL_CALLS\])|\Z",
                "content": "json",
                "repeats": True,
                "transform": BY_CAPTURE,
            },
        },
    },
    "channels": {
        "start_anchor": "<|start|>assistant",
        "fields": {
            "thinking": {"open": "<|channel|>analysis<|message|>", "close": "<|end|>"},
            "content": {
                "open": "<|channel|>final<|message|>",
                "close": ["<|end|>", "<|return|>"],
            },
            "tool_calls": {
                "open_pattern": r"<\|channel\|>commentary to=functions\.(?P<fn>\w+)"
                r"(?: <\|constrain\|>json)?<\|message\|>",
                "close": ["<|call|>", "<|end|>"],
                "content": "json",
                "repeats": True,
                "transform": BY_CAPTURE,
            },
        },
    },
    "parameters": {
        "start_anchor": "<|im_start|>assistant\n",
        "fields": {
            "thinking": {"open_pattern": r"<think>\n?", "close_pattern": r"\s*</think>\s*"},
            "content": {"close": "<|im_end|>", **JOINED},
            "tool_calls": {
                "open_pattern": r"<tool_call>\s*<function=(?P<fn>[^>\n]+)>",
                "close_pattern": r"</function>\s*</tool_call>",
                "content": "xml-inline",
                "content_args": {
                    "tag_pattern": r"<parameter=(?P<key>[^>\n]+)>\n?(?P<value>.*?)\n?</parameter>",
                },
                "repeats": True,
                "transform": BY_CAPTURE,
            },
        },
    },
    "pairs": {
        "start_anchor": "<|assistant|>",
        "fields": {
            "thinking": THINK,
            "content": {"close": "<|user|>", **JOINED},
            "tool_calls": {
                "open_pattern": r"<tool_call>(?P<fn>[^<\n]+)",
                "close": "</tool_call>",
                "content": "xml-inline",
                "content_args": {
                    "tag_pattern": r"<arg_key>(?P<key>[^<]+)</arg_key>\s*"
                    r"<arg_value>(?P<value>.*?)</arg_value>",
                    "value_parser": {"name": "json", "args": {"allow_non_json": True}},
                },
                "repeats": True,
                "transform": BY_CAPTURE,
            },
        },
    },
    "tokens": {
        "start_anchor_pattern": r"<\|bot\|>",
        "fields": {
            "thinking": {"open_pattern": r"<\|think\|>", "close": "<|done|>"},
            "content": {"open_pattern": r"<\|say\|>", "close": ["<|done|>", "<|eos|>"], **JOINED},
            "tool_calls": {
                "open_pattern": r"<\|tool\|>(?P<fn>[A-Za-z_][A-Za-z0-9_]*)<\|args\|>",
                "close": ["<|done|>", "<|eos|>"],
                "repeats": True,
                "content": "xml-inline",
                "content_args": {
                    "tag_pattern": r'<arg name="(?P<key>[^"]+)">(?P<value>.*?)</arg>',
                },
                "transform": BY_CAPTURE,
            },
        },
    },
    "delimited": {
        "start_anchor": "<|turn>model\n",
        "fields": {
            "thinking": {"open_pattern": r"<\|channel>thought\n?", "close": "<channel|>"},
            "content": {"close": "<turn|>", **JOINED},
            "tool_calls": {
                "open_pattern": r"<\|tool_call>call:(?P<fn>\w+)",
                "close": "<tool_call|>",
                "content": "json",
                "content_args": {
                    "unquoted_keys": True,
                    "string_delims": [['<|"|>', '<|"|>']],
                },
                "repeats": True,
                "transform": BY_CAPTURE,
            },
        },
    },
}
NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True)
WORDS = st.text("abc déf漢,.!-_'", min_size=1, max_size=12).map(lambda text: f"w{text.strip()}w")
STRINGS = st.dictionaries(NAMES, WORDS, max_size=3)
VALUES = WORDS | st.integers() | st.booleans() | st.lists(st.integers() | WORDS, max_size=3)
TYPED = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=2), max_size=3)
UNSTREAMED = ("headed",)
"""Templates that transformers reads otherwise in pieces than whole: they look ahead."""
every_template = pytest.mark.parametrize("name", TEMPLATES)


def parser_of(name: str) -> Parser:
    return Parser(format_from_response_template(TEMPLATES[name]))


def call(name: str, arguments: Any, index: int) -> ToolCall:
    return ToolCall(
        name=name,
        arguments=json.dumps(arguments, ensure_ascii=False),
        id="",
        index=index,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )


def theirs(template: dict[str, Any], chunks: list[str]) -> dict[str, Any]:
    """What transformers reads, from pieces."""
    chat = pytest.importorskip("transformers.utils.chat_parsing", reason="needs transformers")
    stream = chat.ResponseParser(template, prefix="")
    for chunk in chunks:
        stream.feed(chunk)
    return stream.finalize()[0]


def as_theirs(parser: Parser, text: str) -> dict[str, Any]:
    """What we read, checked in every cut, as transformers puts it."""
    message = check_text(parser, text, [pieces(text, 1), pieces(text, 7)])
    assert {one.status for one in message.tool_calls} <= {CallStatus.OK}
    fields = {
        "thinking": message.reasoning.strip(),
        "content": message.content.strip(),
        "tool_calls": [(one.name, json.loads(one.arguments)) for one in message.tool_calls],
    }
    return {key: value for key, value in fields.items() if value}


def normal(message: dict[str, Any]) -> dict[str, Any]:
    """A message of transformers with its calls as pairs."""
    calls = [one["function"] for one in message.pop("tool_calls", [])]
    found = {key: value.strip() for key, value in message.items() if value.strip()}
    pairs = [(one["name"], one["arguments"]) for one in calls]
    return {**found, **({"tool_calls": pairs} if pairs else {})}


def text_for(name: str, calls: list[ToolCall], content: str, reasoning: str) -> str:
    """A message as a model with this template writes it: each part between its own anchors."""
    parser = parser_of(name)
    opened, closed = {
        "channels": ("<|channel|>final<|message|>", "<|end|>"),
        "tokens": ("<|say|>", "<|done|>"),
    }.get(name, ("", ""))
    said = opened + content + closed if content else ""
    return parser.render([], reasoning=reasoning) + said + parser.render(calls)


@every_template
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_transformers_reads_the_same_whole_and_in_pieces(name, data):
    arguments = STRINGS if name in ("parameters", "tokens") else TYPED
    made = data.draw(st.lists(st.tuples(NAMES, arguments), max_size=3))
    calls = [call(tool, given_, index) for index, (tool, given_) in enumerate(made)]
    content = data.draw(st.sampled_from(["", "Sure.", "Sure, 1 < 2 & [so on]\n\nyes"]))
    thinks = bool(parser_of(name).format.thinking)
    reasoning = data.draw(st.sampled_from(["", "hm", "two\nlines {}"])) if thinks else ""
    text = text_for(name, calls, content, reasoning)
    ours = as_theirs(parser_of(name), text)
    assert ours.get("tool_calls", []) == made
    assert (ours.get("content", ""), ours.get("thinking", "")) == (content, reasoning)
    for size in (len(text) or 1, 3):
        if name not in UNSTREAMED or size > 3:
            assert ours == normal(theirs(TEMPLATES[name], pieces(text, size)))


TEXTS = {
    "objects": [
        "",
        "just text",
        '<think>a</think>b<tool_call>\n{"name": "f", "arguments": {"x": [1, 2]}}\n</tool_call>\n'
        '<tool_call>{"arguments": {}, "name": "g"}</tool_call>tail<|im_end|>',
        "<think>never closed",
        "a < b and <tool_cal is no marker",
    ],
    "array": ['Hi [TOOL_CALLS] [{"tool": "f", "args": {"x": "]"}}, {"tool": "g", "args": {}}]</s>'],
    "headed": ['[THINK]a[/THINK][TOOL_CALLS]f[ARGS]{"x": 1}[TOOL_CALLS]g.h[ARGS]{}</s>'],
    "channels": [
        "<|channel|>analysis<|message|>hm<|end|><|channel|>commentary to=functions.f "
        '<|constrain|>json<|message|>{"x": 1}<|call|>',
        "<|channel|>final<|message|>done<|return|>",
    ],
    "parameters": [
        "<think>\na\n</think>\n\nb\n<tool_call>\n<function=f>\n<parameter=x>\n1\n</parameter>\n"
        "</function>\n</tool_call>\n<tool_call><function=g></function></tool_call><|im_end|>",
        "<tool_call>\n<function=f><parameter=a>one\ntwo</parameter></function>\n</tool_call>",
    ],
    "pairs": [
        "<think>a</think>b<tool_call>f\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n"
        "<arg_key>y</arg_key>\n<arg_value>a b</arg_value>\n</tool_call>",
        "<tool_call>now</tool_call>",
    ],
    "tokens": [
        '<|think|>hm<|done|><|say|>Hi<|done|><|tool|>f<|args|><arg name="x">1</arg><|eos|>',
        "<|tool|>f<|args|><|done|><|tool|>g<|args|><|done|>",
    ],
    "delimited": [
        '<|channel>thought\nhm<channel|>Hi<|tool_call>call:f{x:<|"|>a, "b"<|"|>,y:[1,2],'
        "z:{k:true}}<tool_call|><turn|>",
    ],
}


@pytest.mark.parametrize(("name", "text"), [(k, text) for k in TEXTS for text in TEXTS[k]])
def test_transformers_reads_the_same_from_written_texts(name, text):
    ours = as_theirs(parser_of(name), text)
    assert ours == normal(theirs(TEMPLATES[name], [text]))
    if name not in UNSTREAMED:
        assert ours == normal(theirs(TEMPLATES[name], pieces(text, 1)))
    else:
        with pytest.raises(ValueError, match="could not parse"):
            theirs(TEMPLATES[name], pieces(text, 1))


def test_content_around_calls_is_kept_where_transformers_keeps_the_last():
    fields = {**TEMPLATES["objects"]["fields"], "content": {"close": "<|im_end|>"}}
    template = {**TEMPLATES["objects"], "fields": fields}
    text = 'a<tool_call>{"name": "f", "arguments": {}}</tool_call>b'
    message = Parser(format_from_response_template(template)).parse(text)
    assert message.content == "ab"
    assert theirs(template, [text])["content"] == "b"


def test_a_call_that_is_no_json_is_a_record_where_transformers_raises():
    text = '<tool_call>{"name": "f", oh}</tool_call><tool_call>{"name": "g", "arguments": {}}'
    calls = parser_of("objects").parse(text).tool_calls
    assert [one.status for one in calls] == [CallStatus.INVALID_JSON, CallStatus.OK]
    with pytest.raises(ValueError, match="could not parse"):
        theirs(TEMPLATES["objects"], [text])


def test_tools_type_the_arguments():
    parameters = {"properties": {"n": {"type": "integer"}, "zip": {"type": "string"}}}
    tools = [{"function": {"name": "f", "parameters": parameters}}]
    text = "<tool_call><function=f><parameter=n>3</parameter><parameter=zip>02134</parameter>"
    message = parser_of("parameters").parse(text + "</function></tool_call>", tools)
    assert json.loads(message.tool_calls[0].arguments) == {"n": 3, "zip": "02134"}


@every_template
def test_the_prompt_counts_from_the_last_start_anchor(name):
    parser = parser_of(name)
    template = TEMPLATES[name]
    header = template.get("start_anchor") or {"headed": "[/INST] ", "tokens": "<|bot|>"}[name]
    if not parser.format.thinking:
        pytest.skip("this template has no thinking block that a prompt could open")
    opened = parser.format.thinking[0].open
    message = parser.parse("hm", prefix=f"{opened}old{header}{opened}")
    assert (message.reasoning, message.content) == ("hm", "")
    assert parser.parse("Hi", prefix=f"{opened}old{header}").content == "Hi"


CALLS = {"open": "<c>", "close": "</c>", "content": "json", "repeats": True}
TAGS = {"open_pattern": "<c>(?P<fn>[^>]+)>", "close": "</c>", "content": "xml-inline"}


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({**CALLS, "open": None, "open_pattern": r"(a+)+<c>"}, "on a part that repeats"),
        ({**CALLS, "open_pattern": r"<c>(?:\w+\s?)*"}, "on a part that repeats"),
        ({**CALLS, "open_pattern": r"(?<=x)<c>"}, "linear time"),
        ({**CALLS, "open_pattern": r"(<c>)\1"}, "linear time"),
        ({**CALLS, "open_pattern": r"\w+<c>"}, "doesn't begin with literal text"),
        ({**CALLS, "close": None, "close_pattern": "</c+>"}, "closing pattern"),
        ({**CALLS, "content": "kv-lines"}, "kv-lines"),
        ({**CALLS, "content": "text"}, "'text'"),
        ({**CALLS, "transform": {"name": "f", "arguments": "{content}"}}, "placeholder"),
        ({**CALLS, "transform": BY_CAPTURE}, "without a group"),
        ({**TAGS, "transform": BY_CAPTURE}, "tag pattern"),
        ({"content": "json"}, "no opening anchor"),
        ({**CALLS, "open": ""}, "empty"),
    ],
)
def test_what_cannot_be_read_exactly_is_refused_by_name(field, reason):
    kept = {key: value for key, value in field.items() if value is not None}
    if "open_pattern" in kept:
        kept.pop("open", None)
    with pytest.raises(TemplateError, match=reason):
        format_from_response_template({"fields": {"tool_calls": kept}})


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({"version": 2, "fields": {}}, "version 1"),
        ({"version": 1}, "version 1"),
        ({"fields": {"thinking": {"close": "</t>"}}}, "no opening"),
        ({"fields": {"thinking": {"open_pattern": r"<t \w+>", "close": "</t>"}}}, "literal"),
    ],
)
def test_a_template_of_another_kind_is_refused(template, reason):
    with pytest.raises(TemplateError, match=reason):
        format_from_response_template(template)


def test_the_template_is_found_in_a_configuration():
    assert find_response_template({"response_template": TEMPLATES["array"]}) == TEMPLATES["array"]
    with pytest.raises(TemplateError, match="response_schema"):
        find_response_template({"response_schema": {"x-regex": "(.*)"}})
    with pytest.raises(TemplateError, match="holds no"):
        find_response_template({})


@pytest.mark.parametrize("name", ["hf", "beam", "response_template"])
def test_the_names_of_the_engines_say_what_to_do(name):
    with pytest.raises(UnknownParserError, match="format_from_response_template"):
        get_parser(name)


@every_template
def test_a_grammar_of_the_format_is_read_back(name):
    tools = [{"function": {"name": "f", "parameters": {"type": "object"}}}]
    assert parser_of(name).gbnf(tools).startswith("root ::=")
    assert parser_of(name).structural_tag(tools)["format"]["type"] == "triggered_tags"
