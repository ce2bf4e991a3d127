"""Detection names the format and its evidence, and leaves open what is open."""

import os
from pathlib import Path

import pytest

from treadle_parsers import CallStatus, Span, ToolCall, detect, get_parser, list_parsers

TEMPLATES = {
    "ByteDance-Seed-OSS": "seed_oss",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": "cohere_command3",
    "GLM-4.6": "glm45",
    "GLM-4.7-Flash": "glm47",
    "Kimi-K2-Instruct": "kimi_k2",
    "Kimi-K3": "kimi_k3",
    "MiniMax-M2": "minimax_m2",
    "MiniMax-M3": "minimax_m3",
    "Mistral-Small-3.2-24B-Instruct-2506": "mistral",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": "hermes",
    "Qwen-Qwen3-0.6B": "hermes",
    "Qwen3-Coder": "qwen3_coder",
    "deepseek-ai-DeepSeek-V3.1": "deepseek_v31",
    "deepseek-ai-DeepSeek-V3.2": "deepseek_v32",
    "google-gemma-4-31B-it-interleaved": "gemma4",
    "ibm-granite-granite-3.3-2B-Instruct": "granite",
    "meetkai-functionary-medium-v3.2": "functionary_v32",
    "meta-llama-Llama-3.1-8B-Instruct": "llama3_json",
    "openai-gpt-oss-120b": "openai",
    "openbmb-MiniCPM5-1B": "minicpm5",
    "poolside-Laguna-XS.2": "poolside_v1",
    "vllm-functiongemma": "functiongemma",
    "vllm-granite_20b_fc": "granite-20b-fc",
    "vllm-internlm2_tool": "internlm",
    "vllm-phi4_mini": "phi4_mini_json",
    "vllm-toolace": "pythonic",
}
IDS = {
    "Qwen/Qwen2.5-7B-Instruct": "hermes",
    "Qwen/Qwen3-Coder-480B": "qwen3_coder",
    "deepseek-ai/DeepSeek-V3.1-Terminus": "deepseek_v31",
    "deepseek-ai/DeepSeek-R1-0528": "deepseek_v3",
    "zai-org/GLM-4.5-Air": "glm45",
    "mistralai/Mixtral-8x22B": "mistral",
    "meta-llama/Llama-4-Scout": "llama4_pythonic",
    "openai/gpt-oss-20b": "openai",
}


def templates() -> Path:
    root = Path(__file__).resolve().parents[3]
    given = os.environ.get("TREADLE_SHARED")
    places = [Path(given)] if given else [root.parent / "shared", root.parent.parent / "shared"]
    for place in places:
        if (place / "chat_templates").is_dir():
            return place / "chat_templates"
    pytest.skip("no shared folder with chat_templates beside the repository")


@pytest.mark.parametrize("stem", TEMPLATES)
def test_a_real_template_names_its_format(stem):
    source = (templates() / f"{stem}.jinja").read_text(encoding="utf-8")
    found = detect(chat_template=source)
    assert (found.name, found.candidates) == (TEMPLATES[stem], (TEMPLATES[stem],))
    assert found.evidence


@pytest.mark.parametrize("model_id", IDS)
def test_a_model_id_names_its_format(model_id):
    found = detect(model_id=model_id)
    assert found.name == IDS[model_id]
    assert model_id in found.evidence[0]


def test_what_holds_no_evidence_has_no_name():
    found = detect(chat_template="{{ messages }}", model_id="someone/something", text="Hello.")
    assert (found.name, found.candidates, found.evidence) == (None, (), ())


def test_twins_stay_ambiguous():
    found = detect(chat_template="<|message|><atem:function_calls>")
    assert found.name is None
    assert found.candidates == ("muse", "muse_glimmer")


@pytest.mark.parametrize("name", sorted({get_parser(name).name for name in list_parsers()}))
def test_a_text_in_a_format_has_that_format_among_its_candidates(name):
    span = Span(start=0, end=0)
    call = ToolCall(
        name="f",
        arguments='{"x": "a b"}',
        id="",
        index=0,
        status=CallStatus.OK,
        span=span,
        raw="",
    )
    found = detect(text=get_parser(name).render([call]))
    assert name in found.candidates


def test_a_text_with_a_malformed_call_still_names_its_format():
    text = '<tool_call>\n{"name": "f", "arguments": {,}}\n</tool_call>\n' + (
        '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
    )
    assert "hermes" in detect(text=text).candidates


def test_the_format_that_explains_most_of_a_text_fits_best():
    found = detect(text='<tool_calls>[{"name": "f", "arguments": {"x": 1}}]</tool_calls>')
    assert "json_array" not in found.candidates  # it leaves the tags as content
    assert "jamba" in found.candidates


def test_of_formats_that_read_alike_those_that_write_so_fit_best():
    texts = {
        "deepseek_v3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n"
        '```json\n{"x": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        "deepseek_v31": '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"x": 1}'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    }
    for name, text in texts.items():
        found = detect(text=text)
        assert found.name == name
        assert any("as they are rendered" in line for line in found.evidence)
