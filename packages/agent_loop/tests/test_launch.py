import json
from pathlib import Path

import pytest

from treadle_agent_loop import launch
from treadle_agent_loop.errors import LaunchError
from treadle_agent_loop.launch import LaunchOptions, engine_command
from treadle_agent_loop.launch.checkpoint import Checkpoint, choose_parser, find_checkpoint
from treadle_agent_loop.launch.command import EngineKind, sglang_parser_name
from treadle_agent_loop.launch.environment import find_plugin, find_python
from treadle_agent_loop.testing.tokenizers import toy_tokenizer

HERMES = "{% for m in messages %}<tool_call>{{ m }}</tool_call>{% endfor %}"
MODEL = Checkpoint(source="/models/small", name="small", chat_template=HERMES)
PYTHON = Path("/engines/bin/python")


def _command(options, parser="hermes", plugin=None):
    return engine_command(options, MODEL, python=PYTHON, port=8001, parser=parser, plugin=plugin)


def _folder(path, **files):
    path.mkdir()
    for name, text in {"config.json": "{}", **files}.items():
        (path / name).write_text(text)
    return str(path)


def test_the_public_names_are_pinned():
    assert launch.__all__ == [
        *("EngineCommand", "EngineKind", "LaunchOptions", "engine_command", "run_launcher"),
    ]
    assert all(hasattr(launch, name) for name in launch.__all__)


def test_vllm_is_started_with_the_flags_that_rollouts_need():
    options = LaunchOptions(model="small", more=("--max-model-len", "2048"))
    assert _command(options).argv == (
        *("/engines/bin/python", "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", "/models/small", "--host", "127.0.0.1", "--port", "8001"),
        *("--served-model-name", "small"),
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        *("--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"),
        *("--max-model-len", "2048"),
    )


def test_sglang_is_started_with_the_flags_that_rollouts_need():
    command = _command(LaunchOptions(model="small", engine="sglang", name="mine"), "qwen3_coder")
    assert command.argv == (
        *("/engines/bin/python", "-m", "sglang.launch_server", "--model-path", "/models/small"),
        *("--host", "127.0.0.1", "--port", "8001", "--served-model-name", "mine"),
        *("--tool-call-parser", "qwen3_coder", "--sampling-defaults", "openai"),
    )
    assert command.environment == {"SGLANG_RETURN_ORIGINAL_LOGPROB": "false"}


def test_our_parsers_are_a_plugin_of_vllm_where_asked():
    argv = _command(LaunchOptions(model="small"), plugin=Path("/site/plugin.py")).argv
    place = argv.index("--tool-parser-plugin")
    assert argv[place + 1 : place + 4] == (
        "/site/plugin.py",
        "--tool-call-parser",
        "treadle_hermes",
    )


def test_without_a_parser_no_tool_choice_is_switched_on():
    assert "--enable-auto-tool-choice" not in _command(LaunchOptions(model="m"), None).argv
    options = LaunchOptions(model="m", engine="sglang")
    assert "--tool-call-parser" not in _command(options, None).argv
    assert "--tool-call-parser" not in _command(options, "olmo3").argv  # SGLang has none for it


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("hermes", "hermes"),
        ("llama3_json", "llama3"),
        ("deepseek_v31", "deepseekv31"),
        ("openai", "gpt-oss"),
        ("minimax_m2", "minimax-m2"),
        ("qwen3_xml", "step3p5"),
        ("olmo3", None),
    ],
)
def test_sglangs_names_of_formats_are_known(ours, theirs):
    found = sglang_parser_name(ours)
    assert found == theirs or (ours == "qwen3_xml" and found == "qwen3_coder")


def test_a_folder_tells_its_template_and_its_parser(tmp_path):
    toy_tokenizer().save(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_text("{}")
    saved = find_checkpoint(str(tmp_path / "saved"))
    assert (saved.name, choose_parser(saved, "auto")) == ("saved", "hermes")
    config = json.dumps({"chat_template": [{"name": "tool_use", "template": HERMES}]})
    folder = _folder(tmp_path / "several", **{"tokenizer_config.json": config})
    assert choose_parser(find_checkpoint(folder), "auto") == "hermes"
    bare = find_checkpoint(_folder(tmp_path / "bare"))
    assert (bare.chat_template, choose_parser(bare, "auto")) == (None, None)
    assert choose_parser(bare, "qwen25") == "hermes"
    assert choose_parser(saved, "none") is None


def test_a_hub_name_tells_its_parser_without_a_download():
    model = find_checkpoint("Qwen/Qwen3-Coder-30B-A3B-Instruct")
    assert (model.name, model.chat_template) == (model.source, None)
    assert choose_parser(model, "auto") == "qwen3_coder"


@pytest.mark.parametrize("name", ["qwen", "./nowhere", "/nowhere/at/all", "a b/c"])
def test_what_is_no_model_is_refused(name):
    with pytest.raises(LaunchError, match="neither a model folder nor a hub name"):
        find_checkpoint(name)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(LaunchError, match=r"no config\.json"):
        find_checkpoint(str(tmp_path))
    broken = _folder(tmp_path / "broken", **{"tokenizer_config.json": "{"})
    with pytest.raises(LaunchError, match="can't be read"):
        find_checkpoint(broken)


def test_an_unknown_parser_names_near_ones():
    with pytest.raises(LaunchError, match="hermes"):
        choose_parser(MODEL, "hermez")


def _script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_an_interpreter_without_the_engine_is_refused(tmp_path):
    with pytest.raises(LaunchError, match="has no vLLM: pip install vllm"):
        find_python(EngineKind.VLLM, _script(tmp_path / "python", "exit 1"))
    with pytest.raises(LaunchError, match="can't be run"):
        find_python(EngineKind.SGLANG, tmp_path / "nothing")


def test_the_engine_on_the_path_brings_its_interpreter(tmp_path):
    binaries, links = tmp_path / "bin", tmp_path / "links"
    binaries.mkdir()
    links.mkdir()
    python = _script(binaries / "python", "exit 0")
    (links / "vllm").symlink_to(_script(binaries / "vllm", "exit 0"))
    assert find_python(EngineKind.VLLM, None, path=str(links)) == python
    with pytest.raises(LaunchError, match="SGLang isn't on PATH"):
        find_python(EngineKind.SGLANG, None, path=str(links))


def test_the_plugin_is_that_of_the_engines_own_environment(tmp_path):
    assert find_plugin(_script(tmp_path / "with", "echo /site/plugin.py")) == Path(
        "/site/plugin.py"
    )
    with pytest.raises(LaunchError, match="pip install treadle-parsers"):
        find_plugin(_script(tmp_path / "without", "exit 1"))
