"""The plugins inside vLLM and SGLang themselves, each in an interpreter of its own.

`TREADLE_VLLM_PYTHON` and `TREADLE_SGLANG_PYTHON` name the interpreters; what is absent is skipped.
Every format is parsed by the classes that the engine's server makes, and must give the record of
this package: whole, and in deltas of several sizes.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from treadle_parsers import CallStatus, Span, ToolCall, get_parser, list_parsers
from treadle_parsers.registry import all_formats
from treadle_parsers.shims.vllm import plugin_path, reasoning_names
from treadle_parsers.testing import pieces

HERE = Path(__file__).resolve().parent
NAMES = [form.name for form in all_formats()]
NO_BLOCK = {form.name for form in all_formats() if not form.thinking}
FUNCTIONS = {
    "get_weather": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "search": {"q": {"type": "string"}},
}
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": properties}},
    }
    for name, properties in FUNCTIONS.items()
]
CALLS = [("get_weather", '{"city": "Köln </x>", "days": 3}'), ("search", '{"q": "a [c]"}')]


class Child:
    """An engine's interpreter, asked one order after the other."""

    def __init__(self, python: str, script: str, *arguments: str) -> None:
        # What stands in for the parts that an engine has on GPUs alone, where that is needed.
        paths = (str(HERE.parent / "src"), os.environ.get("TREADLE_SGLANG_PATH", ""))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        environment |= {"VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            [python, str(HERE / "engines" / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self.listed: dict[str, list[str]] = self.read()

    def read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the engine's process ended; its error stands above"
        return json.loads(line)

    def ask(self, **order: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        self.process.communicate(timeout=60)


def child(variable: str, script: str, *arguments: str) -> Iterator[Child]:
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} names no interpreter with the engine")
    one = Child(python, script, *arguments)
    yield one
    one.close()


@pytest.fixture(scope="module")
def vllm() -> Iterator[Child]:
    yield from child("TREADLE_VLLM_PYTHON", "vllm_child.py", str(plugin_path()))


@pytest.fixture(scope="module")
def sglang() -> Iterator[Child]:
    yield from child("TREADLE_SGLANG_PYTHON", "sglang_child.py")


def written(name: str, *, reasoning: str = "I need it.") -> str:
    calls = [
        ToolCall(
            name=function,
            arguments=arguments,
            id="",
            index=index,
            status=CallStatus.OK,
            span=Span(start=0, end=0),
            raw="",
        )
        for index, (function, arguments) in enumerate(CALLS)
    ]
    return get_parser(name).render(calls, content="Let me see.", reasoning=reasoning)


def order(
    name: str, text: str, *, reasoning: str | None = None, prompt: str = ""
) -> dict[str, Any]:
    return {
        "tool_parser": f"treadle_{name}",
        "reasoning_parser": reasoning and f"treadle_{reasoning}",
        "text": text,
        "prompt": prompt,
        "tools": TOOLS,
        "tool_choice": "auto",
        "streams": [pieces(text, size) for size in (1, 3, 10, len(text))],
    }


def record(name: str, text: str, prefix: str = "") -> dict[str, Any]:
    message = get_parser(name).parse(text, TOOLS, prefix=prefix)
    calls = [[call.name, call.arguments] for call in message.tool_calls]
    return {"reasoning": message.reasoning, "content": message.content, "calls": calls}


@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_vllm_knows_every_format(vllm):
    assert {f"treadle_{name}" for name in list_parsers()} <= set(vllm.listed["tools"])
    assert {f"treadle_{name}" for name in reasoning_names()} <= set(vllm.listed["reasoning"])


@pytest.mark.vllm
@pytest.mark.parametrize("name", NAMES)
def test_vllm_gives_the_record_whole_and_streamed(vllm, name):
    text = written(name)
    told = vllm.ask(**order(name, text, reasoning=None if name in NO_BLOCK else name))
    expected = record(name, text)
    if name in NO_BLOCK:
        told["whole"]["reasoning"] = expected["reasoning"]  # vLLM has no place for it there
    assert told["whole"] == expected
    assert told["streams"] == [expected] * 4
    assert told["skip_special_tokens"] is False
    assert told["structural_tag"] is None


@pytest.mark.vllm
def test_vllm_without_a_reasoning_parser_shows_thinking_as_content(vllm):
    text = written("hermes")
    told = vllm.ask(**order("hermes", text))
    expected = record("hermes", text)
    content = text.partition("<tool_call>")[0]
    assert told["whole"] == {**expected, "reasoning": "", "content": content}
    assert told["streams"] == [told["whole"]] * 4


@pytest.mark.vllm
@pytest.mark.parametrize("name", ["hermes", "deepseek_v31", "mistral", "gemma4"])
def test_vllm_goes_on_from_a_block_that_the_prompt_opened(vllm, name):
    opened = get_parser(name).format.thinking[0].open
    text = written(name).partition(opened)[2]
    told = vllm.ask(**order(name, text, reasoning=name, prompt=f"<|im_start|>assistant\n{opened}"))
    expected = record(name, text, opened)
    assert told["whole"] == expected
    assert told["streams"] == [expected] * 4


@pytest.mark.vllm
def test_vllm_knows_thinking_that_the_token_limit_cut_off(vllm):
    text, prompt = "a sum of", "<|im_start|>assistant\n<think>\n"
    told = vllm.ask(**order("hermes", text, reasoning="hermes", prompt=prompt))
    assert told["whole"] == {"reasoning": text, "content": "", "calls": []}
    assert told["streams"] == [told["whole"]] * 4


@pytest.mark.vllm
def test_vllm_knows_that_the_prompt_closed_the_block(vllm):
    text = written("hermes", reasoning="")
    prompt = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    told = vllm.ask(**order("hermes", text, reasoning="hermes", prompt=prompt))
    assert told["whole"] == record("hermes", text)
    assert told["streams"] == [told["whole"]] * 4


@pytest.mark.vllm
def test_vllm_gets_the_text_that_looked_like_a_marker_at_the_end(vllm):
    text = 'Hi <tool_call>{"name": "search", "arguments": {}}</tool_call> and <tool_'
    told = vllm.ask(**order("hermes", text))
    assert told["whole"]["content"] == "Hi  and <tool_"
    assert told["streams"] == [told["whole"]] * 4


@pytest.mark.vllm
def test_vllm_takes_no_text_for_a_call_where_none_is_allowed(vllm):
    text = written("hermes", reasoning="")
    for change in ({"tool_choice": "none"}, {"tools": None, "tool_choice": None}):
        told = vllm.ask(**{**order("hermes", text), **change})
        assert told["whole"] == {"reasoning": "", "content": text, "calls": []}
        assert told["streams"] == [told["whole"]] * 4


@pytest.mark.vllm
@pytest.mark.parametrize("name", ["hermes", "qwen3_coder", "kimi_k2"])
def test_vllm_holds_a_demanded_call_to_the_grammar_of_the_format(vllm, name):
    text = written(name, reasoning="")
    named = {"type": "function", "function": {"name": "search"}}
    for choice, names in (("required", set(FUNCTIONS)), (named, {"search"})):
        told = vllm.ask(**{**order(name, text), "tool_choice": choice})
        assert told["whole"] == told["streams"][0] == record(name, text)
        tag = told["structural_tag"]
        assert {one for one in FUNCTIONS if one in tag} == names


def test_sglang_knows_every_format(sglang):
    names = {f"treadle_{name}" for name in list_parsers()}
    assert names <= set(sglang.listed["table"])
    assert names <= set(sglang.listed["choices"])


@pytest.mark.parametrize("name", NAMES)
def test_sglang_gives_the_record_whole_and_streamed(sglang, name):
    text = written(name, reasoning="")
    told = sglang.ask(**order(name, text))
    expected = record(name, text)
    del expected["reasoning"]
    assert told["whole"] == expected
    assert told["streams"] == [expected] * 4
    assert told["native"] is True
    assert told["constraints"] == ["structural_tag"] * 2


def test_sglang_gets_the_text_that_looked_like_a_marker_at_the_end(sglang):
    told = sglang.ask(**order("hermes", "Hi <tool_"))
    assert told["whole"] == {"content": "Hi <tool_", "calls": []}
    assert told["streams"] == [told["whole"]] * 4
