"""What `render` writes is what the model's own chat template writes for the same message.

The templates are those of a `shared` folder beside the repository; a few of our own, written to the
same rules, stand in `OWN` for where there is none. A turn's header, the empty thinking block that a
template may put into it, and what ends the turn are the template's and are cut off.
"""

import datetime
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from treadle_parsers import CallStatus, Span, ToolCall, UnknownDialectError, get_parser

jinja2 = pytest.importorskip("jinja2", reason="chat templates need jinja2")
sandbox = pytest.importorskip("jinja2.sandbox", reason="chat templates need jinja2")
extension = pytest.importorskip("jinja2.ext", reason="chat templates need jinja2")

CHATML, LLAMA = "<|im_start|>assistant\n", "<|start_header_id|>assistant<|end_header_id|>\n\n"
DEEPSEEK, GRANITE = "<｜Assistant｜>", "<|start_of_role|>assistant<|end_of_role|>"
COHERE, MINIMAX = "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "]~b]ai\n"
DEEPSEEK_END, EOS = "<｜end▁of▁sentence｜>", "<EOS>"
QUESTION = "What is it like?"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How a template shows an assistant's turn."""

    name: str
    dialect: str | None = None
    header: str = CHATML
    others: tuple[str, ...] = ()
    """Headers of turns without reasoning or with content alone, where they differ."""
    ends: tuple[str, ...] = ("<|im_end|>",)
    """What ends the turn; the first that occurs counts."""
    closes: tuple[str, ...] = ()
    """What `render` ends the message with, where the template ends the turn instead."""
    reasoning: str = ""
    """The key of the reasoning; empty when the template shows none."""
    content: bool = True
    """Whether content is shown beside calls."""
    calls: int = 2
    """How many calls are shown."""
    text: bool = False
    """Whether the template wants the arguments as text."""
    none: bool = False
    """Whether the template wants None for content that is empty."""
    opened: bool = False
    """Whether the thinking block is opened by the generation prompt alone."""
    alone: bool = True
    """Whether reasoning is shown beside content without calls."""
    lost: frozenset[str] = frozenset()
    """Sets of arguments that nobody could read back from what the template shows."""
    indented: bool = False
    """Whether the indentation of the template's source leaks into the text."""
    variables: tuple[tuple[str, Any], ...] = ()
    """What the template needs besides the messages, or in place of the usual."""


ARGUMENTS: dict[str, dict[str, Any]] = {
    "plain": {"city": "Paris", "days": 2},
    "empty": {},
    "word": {"city": "Paris"},
    "number": {"days": 2},
    "null": {"none": None, "days": 2},
    "text": {"code": 'if x < 3 && y:\n    print("é 漢 🙂 \\\\ {}")\n', "blank": "", "yes": "true"},
    "scalars": {"yes": True, "no": False, "half": 1.5, "big": 10**20, "minus": -3, "tiny": 1e-7},
    "nested": {"where": {"lat": 1.5, "tags": ["a", {"b": False}], "o": {}}, "l": [1, [2, "3"], []]},
}
TYPED = frozenset({"plain", "number", "null", "scalars", "nested"})

HERMES = Shown(name="hermes", content=False)
LLAMA_JSON = Shown(name="llama3_json", header=LLAMA, ends=("<|eot_id|>",), content=False, calls=1)
KIMI = Shown(name="kimi_k2", header="<|im_assistant|>assistant<|im_middle|>", ends=("<|im_end|>",))
MISTRAL = Shown(name="mistral", dialect="v3", header="[/INST]", ends=(EOS,), content=False)
APERTUS = Shown(name="apertus", header="<|assistant_start|>", ends=())
DSML = Shown(
    name="deepseek_v32",
    header=DEEPSEEK + "<think>",
    others=(DEEPSEEK + "</think>",),
    ends=(DEEPSEEK_END,),
)
MUSE = Shown(
    name="muse_glimmer",
    header="<|eot|>",
    ends=("<|eot|>",),
    closes=("<|eom|>",),
    reasoning="reasoning_content",
    content=False,
)
R1 = Shown(name="deepseek_v3", header=DEEPSEEK, ends=(DEEPSEEK_END,))
TAGGED = Shown(name="qwen3_coder", lost=frozenset({"null"}))
UNQUOTED = Shown(
    name="pythonic",
    header=LLAMA,
    ends=("<|eot_id|>",),
    content=False,
    lost=frozenset({"plain", "word", "text"}),
)

SHOWN = {
    "Apertus-8B-Instruct": APERTUS,
    "Apriel-1.6-15b-Thinker-fixed": Shown(
        name="apriel",
        header="\n<|begin_assistant|>\n",
        ends=(),
        reasoning="reasoning_content",
        opened=True,
    ),
    "ByteDance-Seed-OSS": Shown(
        name="seed_oss",
        header="<seed:bos>assistant\n",
        lost=frozenset({"null"}),
        ends=("<seed:eos>",),
        reasoning="reasoning_content",
    ),
    "Cohere2MoE": Shown(
        name="cohere_command3",
        dialect="command4",
        header=COHERE,
        ends=("<|END_OF_TURN_TOKEN|>",),
        reasoning="reasoning_content",
        content=False,
    ),
    "CohereForAI-c4ai-command-r-plus-tool_use": Shown(
        name="command-r-plus",
        header=COHERE,
        ends=("\n<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    ),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": Shown(
        name="cohere_command3",
        header=COHERE,
        others=(COHERE + "<|START_THINKING|><|END_THINKING|>",),
        ends=("<|END_OF_TURN_TOKEN|>",),
        reasoning="reasoning_content",
        content=False,
        alone=False,
    ),
    "GLM-4.6": Shown(
        name="glm45",
        header="<|assistant|>\n",
        others=("<|assistant|>\n<think></think>\n",),
        ends=(),
        reasoning="reasoning_content",
    ),
    "GLM-4.7-Flash": Shown(
        name="glm47",
        header="<|assistant|>",
        others=("<|assistant|></think>",),
        ends=(),
        reasoning="reasoning_content",
    ),
    "GigaChat3.1-10B-A1.8B": Shown(
        name="gigachat3", header="assistant<|role_sep|>\n", ends=("<|message_sep|>",), calls=1
    ),
    "Kimi-K2-Instruct": KIMI,
    "Kimi-K2-Thinking": replace(
        KIMI, others=(KIMI.header + "<think></think>",), reasoning="reasoning_content", alone=False
    ),
    "Kimi-K3": Shown(
        name="kimi_k3",
        header='<|open|>message role="assistant"<|sep|>',
        others=(
            '<|open|>message role="assistant"<|sep|><|open|>think<|sep|><|close|>think<|sep|>',
        ),
        ends=("<|close|>message<|sep|>",),
        reasoning="reasoning_content",
    ),
    "MiniMax-M1": Shown(
        name="minimax_m1",
        header="<beginning_of_sentence>ai name=assistant\n",
        ends=("<end_of_sentence>",),
        content=False,
    ),
    "MiniMax-M2": Shown(
        name="minimax_m2", header=MINIMAX, ends=("[e~[",), reasoning="reasoning_content"
    ),
    "MiniMax-M3": Shown(
        name="minimax_m3",
        header=MINIMAX,
        others=(MINIMAX + "</mm:think>",),
        ends=("[e~[",),
        reasoning="reasoning_content",
        lost=frozenset({"null"}),
    ),
    "Mistral-Small-3.2-24B-Instruct-2506": replace(MISTRAL, dialect="v11"),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": replace(
        TAGGED,
        dialect="nemotron_v3",
        ends=("\n<|im_end|>", "<|im_end|>"),
        others=(CHATML + "<think></think>\n", CHATML + "<think></think>"),
        reasoning="reasoning_content",
    ),
    "NVIDIA-Nemotron-Nano-v2": Shown(
        name="nemotron_deci",
        header="<SPECIAL_11>Assistant\n",
        others=("<SPECIAL_11>Assistant\n<think>\n",),
        ends=("\n<SPECIAL_12>", "<SPECIAL_12>"),
        content=False,
    ),
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": HERMES,
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": HERMES,
    "Qwen-QwQ-32B": replace(HERMES, content=True),
    "Qwen-Qwen2.5-7B-Instruct": replace(HERMES, content=True),
    "Qwen-Qwen3-0.6B": replace(
        HERMES,
        content=True,
        others=(CHATML + "<think>\n\n</think>\n\n",),
        reasoning="reasoning_content",
    ),
    "Qwen3-Coder": TAGGED,
    "Spark2.5": Shown(
        name="spark25",
        header="<|Bot|>",
        others=("<|Bot|></think>",),
        ends=(DEEPSEEK_END,),
        reasoning="reasoning_content",
    ),
    "StepFun3.5-Flash": replace(
        TAGGED,
        dialect="step3p5",
        others=(CHATML + "<think>\n\n</think>\n",),
        reasoning="reasoning_content",
    ),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": replace(R1, content=False),
    "deepseek-ai-DeepSeek-V3.1": Shown(
        name="deepseek_v31",
        header=DEEPSEEK + "<think></think>",
        ends=(DEEPSEEK_END,),
    ),
    "deepseek-ai-DeepSeek-V3.2": DSML,
    "deepseek-ai-DeepSeek-V4-Flash-0731": replace(DSML, name="deepseek_v4"),
    "fireworks-ai-llama-3-firefunction-v2": Shown(
        name="phi4_mini_json",
        dialect="firefunction",
        header=LLAMA,
        ends=("<|eot_id|>",),
        variables=(("functions", "[]"), ("datetime", "today")),
    ),
    "google-gemma-4-31B-it-interleaved": Shown(
        name="gemma4",
        header="<|turn>model\n",
        ends=("<turn|>",),
        reasoning="reasoning_content",
        alone=False,
    ),
    "ibm-granite-granite-4.0": Shown(name="granite4", header=GRANITE, ends=("<|end_of_text|>",)),
    "llama-cpp-deepseek-r1": replace(R1, content=False, variables=(("tools", None),)),
    "meetkai-functionary-medium-v3.1": Shown(
        name="functionary_v31", header=LLAMA, ends=("<|eom_id|>", "<|eot_id|>")
    ),
    "meetkai-functionary-medium-v3.2": Shown(
        name="functionary_v32", header=LLAMA, ends=("<|eot_id|>",), text=True
    ),
    "meta-llama-Llama-3.1-8B-Instruct": LLAMA_JSON,
    "meta-llama-Llama-3.2-3B-Instruct": LLAMA_JSON,
    "meta-llama-Llama-3.3-70B-Instruct": LLAMA_JSON,
    "mistralai-Mistral-Nemo-Instruct-2407": replace(MISTRAL, dialect="v3-tekken"),
    "moonshotai-Kimi-K2": KIMI,
    "muse-glimmer": MUSE,
    "openai-gpt-oss-120b": Shown(
        name="openai",
        header="<|end|>",
        ends=("<|call|>", "<|return|>"),
        closes=("<|end|>",),
        reasoning="thinking",
        content=False,
        calls=1,
    ),
    "openbmb-MiniCPM5-1B": Shown(
        name="minicpm5", reasoning="reasoning_content", lost=frozenset({"null"})
    ),
    "poolside-Laguna-XS.2": Shown(
        name="poolside_v1",
        header="<assistant>\n",
        others=("<assistant>\n</think>\n",),
        ends=("\n</assistant>",),
        reasoning="reasoning_content",
    ),
    "unsloth-Apriel-1.5": Shown(name="apriel", header="\n<|assistant|>\n", ends=("\n<|end|>",)),
    "unsloth-mistral-Devstral-Small-2507": replace(MISTRAL, dialect=None, content=True),
    "vllm-apertus": APERTUS,
    "vllm-deepseekr1": R1,
    "vllm-deepseekv3": replace(R1, indented=True),
    "vllm-deepseekv31": Shown(
        name="deepseek_v31", header=DEEPSEEK + "</think>", ends=(DEEPSEEK_END,), indented=True
    ),
    "vllm-functiongemma": Shown(
        name="functiongemma",
        header="<start_of_turn>model",
        others=("<start_of_turn>model\n",),
        ends=("<end_of_turn>",),
        content=False,
        lost=TYPED,
    ),
    "vllm-gemma3_pythonic": Shown(
        name="pythonic",
        header="<start_of_turn>model\n",
        ends=("<end_of_turn>",),
        content=False,
        lost=frozenset({"plain", "text", "null", "scalars", "nested"}),
    ),
    "vllm-granite": Shown(
        name="granite",
        dialect="granite3.0",
        header=GRANITE,
        ends=("<|end_of_text|>",),
        content=False,
    ),
    "vllm-granite_20b_fc": Shown(
        name="granite-20b-fc",
        header="\nASSISTANT:\n",
        others=("\nASSISTANT: ",),
        ends=("\n<|endoftext|>", " <|endoftext|>"),
        content=False,
    ),
    "vllm-hermes": HERMES,
    "vllm-hunyuan_a13b": Shown(
        name="hunyuan_a13b", header="<|extra_0|>", others=("<|extra_0|>助手：",), ends=("<|eos|>",)
    ),
    "vllm-internlm2_tool": Shown(name="internlm", dialect="internlm2"),
    "vllm-llama3.1_json": LLAMA_JSON,
    "vllm-llama3.2_json": LLAMA_JSON,
    "vllm-llama3.2_pythonic": UNQUOTED,
    "vllm-llama4_pythonic": Shown(
        name="llama4_pythonic",
        header="<|header_start|>assistant<|header_end|>\n\n",
        ends=("<|eot|>",),
        lost=TYPED | {"text"},
    ),
    "vllm-mistral": replace(MISTRAL, others=("[/INST] ",)),
    "vllm-mistral3": MISTRAL,
    "vllm-mistral_parallel": replace(MISTRAL, others=("[/INST] ",)),
    "vllm-muse_glimmer": MUSE,
    "vllm-phi4_mini": Shown(
        name="phi4_mini_json",
        header="<|assistant|>",
        ends=("<|end|>",),
        content=False,
        lost=frozenset(ARGUMENTS),
    ),
    "vllm-qwen3coder": TAGGED,
    "vllm-toolace": UNQUOTED,
    "vllm-xlam_llama": Shown(name="xlam", header=LLAMA, ends=("<|eot_id|>",), content=False),
}
WITHOUT_CALLS = {
    "LFM2-8B-A1B": Shown(name="lfm2"),
    "LFM2.5-Instruct": Shown(name="lfm2"),
    "google-gemma-2-2b-it": Shown(
        name="gemma4", header="<start_of_turn>model\n", ends=("<end_of_turn>",)
    ),
    "ibm-granite-granite-3.3-2B-Instruct": Shown(
        name="granite", header=GRANITE, ends=("<|end_of_text|>",)
    ),
    "llama-cpp-rwkv-world": Shown(name="hermes", header="Assistant: ", ends=("\n\n",)),
    "microsoft-Phi-3.5-mini-instruct": Shown(
        name="hermes", header="<|assistant|>\n", ends=("<|end|>",)
    ),
    "vllm-glm4": Shown(name="glm45", header="答：", ends=()),
}
"""Templates that show content alone: they drop calls, or expect them to be in the content."""
UNCLOSED = {
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": replace(R1, text=True, none=True),
}
"""Templates that leave out what closes a block of one call."""


def tool(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"city": {"type": "string", "description": "c"}}}
    function = {"name": name, "description": "d", "parameters": parameters}
    return {"type": "function", "function": function}


def call(arguments: dict[str, Any], index: int, native: bool) -> ToolCall:
    return ToolCall(
        name="get_weather",
        arguments=json.dumps(arguments, ensure_ascii=False),
        id=f"functions.get_weather:{index}" if native else f"abcdefgh{index}",
        index=index,
        status=CallStatus.OK,
        span=Span(start=0, end=0),
        raw="",
    )


def refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


OWN = {
    "lines": (
        HERMES,
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{% for c in m.tool_calls %}{{ '\n' if not loop.first }}<tool_call>\n"
        '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
        "\n</tool_call>{% endfor %}<|im_end|>{% endfor %}",
    ),
    "elements": (
        Shown(name="glm47", header="<|assistant|>", ends=("<|user|>",)),
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for c in m.tool_calls %}"
        "<tool_call>{{ c.function.name }}{% for k, v in c.function.arguments.items() %}"
        "<arg_key>{{ k }}</arg_key><arg_value>{{ v if v is string else v | tojson }}</arg_value>"
        "{% endfor %}</tool_call>{% endfor %}{% endfor %}<|user|>",
    ),
    "indented": (
        Shown(name="granite", dialect="granite3.0", header=GRANITE, ends=("<|end_of_text|>",)),
        "{% for m in messages %}<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}"
        "{% if m.tool_calls %}<|tool_call|>"
        "{{ m.tool_calls | map(attribute='function') | list | tojson(indent=4) }}"
        "{% endif %}<|end_of_text|>{% endfor %}",
    ),
    "ids": (
        MISTRAL,
        "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]{% endif %}"
        "{% if m.tool_calls %}"
        "[TOOL_CALLS] [{% for c in m.tool_calls %}{{ ', ' if not loop.first }}"
        "{{ (c.function | tojson)[:-1] }}, {{ '\"id\": ' ~ (c.id | tojson) }}}{% endfor %}]"
        "<EOS>{% endif %}{% endfor %}",
    ),
}
"""Small templates of our own, with what they show."""


class Generation(extension.Extension):
    """The block that marks an assistant's turn; it only prints what it holds."""

    tags = frozenset({"generation"})

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        printed = self.call_method("_print")
        return jinja2.nodes.CallBlock(printed, [], [], body).set_lineno(line)

    def _print(self, caller: Any) -> str:
        return caller()


@cache
def compiled(source: str) -> Any:
    """Compile a template with what transformers gives it."""
    environment = sandbox.SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    environment.filters["tojson"] = to_json
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    environment.globals.update(raise_exception=refuse, strftime_now=now.strftime)
    return environment.from_string(source)


def conversation(source: str, shown: Shown, assistant: dict[str, Any]) -> str:
    """Render a question and an answer as transformers does."""
    usual = {"tools": [tool("get_weather")], "bos_token": "<BOS>", "eos_token": EOS}
    return compiled(source).render(
        messages=[{"role": "user", "content": QUESTION}, assistant],
        add_generation_prompt=False,
        **{**usual, **dict(shown.variables)},
    )


def turn(
    source: str, shown: Shown, calls: Sequence[ToolCall], content: str = "", reasoning: str = ""
) -> str:
    """Return what the template shows of the message."""
    assistant: dict[str, Any] = {"role": "assistant", "content": content or ""}
    if shown.none and not content:
        assistant["content"] = None
    if reasoning:
        assistant[shown.reasoning or "reasoning_content"] = reasoning
    if calls:
        assistant["tool_calls"] = [
            {
                "id": one.id,
                "type": "function",
                "function": {
                    "name": one.name,
                    "arguments": one.arguments if shown.text else json.loads(one.arguments),
                },
            }
            for one in calls
        ]
    text = conversation(source, shown, assistant)
    text = text[text.rindex(QUESTION) :]
    if shown.indented:
        text = re.sub(r"(?<!\w) {4,}", "", text)
    headers = [one for one in (shown.header, *shown.others) if one in text]
    assert headers, text
    header = min(headers, key=lambda one: (text.index(one), -len(one)))
    text = text.split(header, 1)[1]
    stops = [text.index(end) for end in shown.ends if end in text]
    return text[: min(stops, default=len(text))]


def written(shown: Shown, calls: Sequence[ToolCall], content: str = "", reasoning: str = "") -> str:
    """Return what `render` writes, without what the template counts to the turn."""
    parser = get_parser(shown.name)
    text = parser.render(calls, content=content, reasoning=reasoning, dialect=shown.dialect)
    if shown.opened and reasoning:
        block = parser.format.thinking[0]
        text = text.removeprefix(block.open + block.lead)
    for end in (*shown.closes, *shown.ends):
        text = text.removesuffix(end)
    return text


def shared_templates() -> Path:
    root = Path(__file__).resolve().parents[3]
    given = os.environ.get("TREADLE_SHARED")
    places = [Path(given)] if given else [root.parent / "shared", root.parent.parent / "shared"]
    for place in places:
        if (place / "chat_templates").is_dir():
            return place / "chat_templates"
    pytest.skip("no shared folder with chat_templates beside the repository")


def template(stem: str) -> str:
    return (shared_templates() / f"{stem}.jinja").read_text(encoding="utf-8")


every_template = pytest.mark.parametrize("stem", SHOWN)


def read_back(shown: Shown, text: str) -> list[Any]:
    calls = get_parser(shown.name).parse(text).tool_calls
    return [json.loads(one.arguments) for one in calls if one.status is CallStatus.OK]


def calls_of(shown: Shown, kind: str, count: int = 1) -> list[ToolCall]:
    return [call(ARGUMENTS[kind], at, shown.name == "kimi_k2") for at in range(count)]


@every_template
@pytest.mark.parametrize("kind", ARGUMENTS)
def test_calls_are_written_as_the_template_writes_them(stem, kind):
    shown, source = SHOWN[stem], template(stem)
    for count in range(1, shown.calls + 1):
        calls = calls_of(shown, kind, count)
        if kind in shown.lost:
            try:
                text = turn(source, shown, calls)
            except TypeError:
                continue  # this template fails on such arguments
            assert read_back(shown, text) != [ARGUMENTS[kind]] * count
        else:
            assert written(shown, calls) == turn(source, shown, calls)


ONE_CALL = [stem for stem, shown in SHOWN.items() if shown.calls == 1]


@pytest.mark.parametrize("stem", ONE_CALL)
def test_a_template_for_one_call_shows_no_second(stem):
    shown, source = SHOWN[stem], template(stem)
    one, two = calls_of(shown, "plain", 1), calls_of(shown, "plain", 2)
    if "single tool-calls" in source:
        with pytest.raises(jinja2.TemplateError, match="single tool-calls"):
            turn(source, shown, two)
    else:
        assert turn(source, shown, two) == turn(source, shown, one)


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("kind", ARGUMENTS)
def test_calls_are_written_as_a_template_of_our_own_writes_them(own, kind):
    shown, source = OWN[own]
    for count in (1, 2):
        calls = calls_of(shown, kind, count)
        assert written(shown, calls) == turn(source, shown, calls)


def test_an_unknown_dialect_is_refused_with_the_known_ones():
    with pytest.raises(UnknownDialectError, match=r"'v3-tekken', 'v3'"):
        get_parser("mistral").render([], dialect="v4")
    parser = get_parser("mistral")
    assert parser.render([], content="a", dialect="default") == parser.render([], content="a")


@pytest.mark.parametrize("stem", WITHOUT_CALLS)
def test_a_template_without_calls_shows_content_alone(stem):
    shown, source = WITHOUT_CALLS[stem], template(stem)
    assert turn(source, shown, calls_of(shown, "plain")) == ""
    assert turn(source, shown, calls_of(shown, "plain"), "Sure.") == "Sure."


@pytest.mark.parametrize("stem", UNCLOSED)
def test_a_template_that_leaves_one_call_open_closes_two(stem):
    shown, source = UNCLOSED[stem], template(stem)
    one, two = calls_of(shown, "nested", 1), calls_of(shown, "nested", 2)
    assert written(shown, two) == turn(source, shown, two)
    assert written(shown, one) == turn(source, shown, one) + "<｜tool▁calls▁end｜>"


def test_every_template_is_accounted_for():
    stems = {path.stem for path in shared_templates().glob("*.jinja")}
    assert stems <= {*SHOWN, *WITHOUT_CALLS, *UNCLOSED}


@every_template
def test_content_is_written_as_the_template_writes_it(stem):
    shown, source = SHOWN[stem], template(stem)
    calls = calls_of(shown, "word")
    if shown.content:
        assert written(shown, calls, "Sure.") == turn(source, shown, calls, "Sure.")
    else:
        assert written(shown, calls, "Sure.") != turn(source, shown, calls, "Sure.")
    assert written(shown, [], "Sure.") == turn(source, shown, [], "Sure.")


@every_template
def test_reasoning_is_written_as_the_template_writes_it(stem):
    shown, source = SHOWN[stem], template(stem)
    calls = calls_of(shown, "word")
    if not shown.reasoning:
        for key in ("reasoning_content", "reasoning", "thinking"):
            keyed = replace(shown, reasoning=key)
            assert turn(source, keyed, calls, reasoning="hm") == turn(source, shown, calls)
        return
    assert written(shown, calls, reasoning="hm") == turn(source, shown, calls, reasoning="hm")
    if shown.content:
        assert written(shown, calls, "Sure.", "hm") == turn(source, shown, calls, "Sure.", "hm")
    if shown.alone:
        assert written(shown, [], "Sure.", "hm") == turn(source, shown, [], "Sure.", "hm")


def test_the_snippets_of_the_page_about_rendering_run():
    page = Path(__file__).parents[1] / "docs" / "rendering.md"
    blocks = re.findall(
        r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    names = {}
    exec(compile("\n".join(blocks), str(page), "exec"), names)  # its own asserts hold as well
    assert len(blocks) == 3
    assert [call.arguments for call in names["calls"]] == ['{"zone": "UTC"}']
    assert names["parser"].parse(names["text"]).tool_calls[0].name == "now"
    assert names["mine"].render([], content="Hi", dialect="spaced") == "Hi"
