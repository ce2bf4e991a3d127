"""What `render` writes is what the model's own chat template writes for the same calls."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from treadle_parsers import CallStatus, Span, ToolCall, get_parser

jinja2 = pytest.importorskip("jinja2", reason="chat templates need jinja2")
sandbox = pytest.importorskip("jinja2.sandbox", reason="chat templates need jinja2")

ONE, SEVERAL = 1, 2
TEMPLATES = {
    "Apertus-8B-Instruct": ("apertus", SEVERAL),
    "ByteDance-Seed-OSS": ("seed_oss", SEVERAL),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": ("cohere_command3", SEVERAL),
    "GLM-4.6": ("glm45", SEVERAL),
    "GLM-4.7-Flash": ("glm47", SEVERAL),
    "GigaChat3.1-10B-A1.8B": ("gigachat3", ONE),
    "Kimi-K3": ("kimi_k3", SEVERAL),
    "MiniMax-M2": ("minimax_m2", SEVERAL),
    "MiniMax-M3": ("minimax_m3", SEVERAL),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": ("qwen3_coder", SEVERAL),
    "NVIDIA-Nemotron-Nano-v2": ("nemotron_deci", SEVERAL),
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": ("hermes", SEVERAL),
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": ("hermes", SEVERAL),
    "Qwen-QwQ-32B": ("hermes", SEVERAL),
    "Qwen-Qwen2.5-7B-Instruct": ("hermes", SEVERAL),
    "Qwen-Qwen3-0.6B": ("hermes", SEVERAL),
    "Qwen3-Coder": ("qwen3_coder", SEVERAL),
    "StepFun3.5-Flash": ("qwen3_coder", ONE),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": ("deepseek_v3", SEVERAL),
    "deepseek-ai-DeepSeek-V3.1": ("deepseek_v31", SEVERAL),
    "deepseek-ai-DeepSeek-V3.2": ("deepseek_v32", SEVERAL),
    "deepseek-ai-DeepSeek-V4-Flash-0731": ("deepseek_v4", SEVERAL),
    "google-gemma-4-31B-it-interleaved": ("gemma4", SEVERAL),
    "ibm-granite-granite-4.0": ("granite4", SEVERAL),
    "meetkai-functionary-medium-v3.1": ("functionary_v31", SEVERAL),
    "meetkai-functionary-medium-v3.2": ("functionary_v32", SEVERAL),
    "meta-llama-Llama-3.1-8B-Instruct": ("llama3_json", ONE),
    "moonshotai-Kimi-K2": ("kimi_k2", SEVERAL),
    "muse-glimmer": ("muse_glimmer", SEVERAL),
    "openbmb-MiniCPM5-1B": ("minicpm5", ONE),
    "unsloth-mistral-Devstral-Small-2507": ("mistral", SEVERAL),
    "vllm-granite_20b_fc": ("granite-20b-fc", ONE),
    "vllm-hermes": ("hermes", SEVERAL),
    "vllm-qwen3coder": ("qwen3_coder", SEVERAL),
    "vllm-xlam_llama": ("xlam", SEVERAL),
}
ARGUMENTS = [{"city": "Paris", "days": 2}, {"city": "Rome"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "d",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "c"},
                    "days": {"type": "integer", "description": "n"},
                },
                "required": ["city"],
            },
        },
    }
]


def template(stem: str) -> str:
    root = Path(__file__).resolve().parents[3]
    given = os.environ.get("TREADLE_SHARED")
    places = [Path(given)] if given else [root.parent / "shared", root.parent.parent / "shared"]
    for place in places:
        if (place / "chat_templates").is_dir():
            return (place / "chat_templates" / f"{stem}.jinja").read_text(encoding="utf-8")
    pytest.skip("no shared folder with chat_templates beside the repository")


def refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def rendered(source: str, calls: list[ToolCall], *, content: str, as_text: bool) -> str:
    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = to_json
    environment.globals.update(raise_exception=refuse, strftime_now=lambda _: "2026-01-01")
    tool_calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": call.arguments if as_text else json.loads(call.arguments),
            },
        }
        for call in calls
    ]
    answers = [
        {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": "ok"}
        for call in calls
    ]
    assistant = {"role": "assistant", "content": content, "tool_calls": tool_calls}
    messages = [{"role": "user", "content": "Hi"}, assistant, *answers]
    return environment.from_string(source).render(
        messages=messages, tools=TOOLS, bos_token="", eos_token="", add_generation_prompt=False
    )


@pytest.mark.parametrize("stem", TEMPLATES)
def test_render_writes_what_the_template_writes(stem):
    name, most = TEMPLATES[stem]
    source = template(stem)
    for count in range(1, most + 1):
        calls = [
            ToolCall(
                name="get_weather",
                arguments=json.dumps(ARGUMENTS[index]),
                id=f"functions.get_weather:{index}" if name == "kimi_k2" else f"abcdefgh{index}",
                index=index,
                status=CallStatus.OK,
                span=Span(start=0, end=0),
                raw="",
            )
            for index in range(count)
        ]
        expected = get_parser(name).render(calls)
        texts: list[str] = []
        for content in ("", "Sure."):
            for as_text in (False, True):
                try:
                    texts.append(rendered(source, calls, content=content, as_text=as_text))
                except (jinja2.TemplateError, TypeError):
                    continue  # this template takes the other form of content or arguments
        assert texts
        assert any(expected in text for text in texts), texts[0][-600:]
