"""The shims cost nobody anything who doesn't use them."""

import importlib.metadata
import subprocess
import sys

import pytest

from treadle_parsers import get_parser, list_parsers
from treadle_parsers.shims import vllm


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_package_imports_no_shim():
    code = "import sys, treadle_parsers; print([m for m in sys.modules if '.shims' in m])"
    assert python(code).stdout == "[]\n"


@pytest.mark.parametrize(
    "module", ["answers", "atropos", "constraints", "huggingface", "prompts", "sglang", "vllm"]
)
def test_importing_a_shim_imports_nothing_of_others(module):
    code = (
        f"import sys; before = set(sys.modules); import treadle_parsers.shims.{module}\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - sys.stdlib_module_names))"
    )
    assert python(code).stdout == "['treadle_parsers']\n"


def test_the_path_of_the_plugin_is_printed():
    told = subprocess.run(
        [sys.executable, "-m", "treadle_parsers.shims.vllm"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout == f"{vllm.plugin_path()}\n"
    assert vllm.plugin_path().is_file()


def test_the_plugin_does_not_take_the_name_of_the_engine():
    assert vllm.plugin_path().stem not in ("vllm", "sglang")


def test_every_name_is_registered_and_reasoning_where_there_is_a_block():
    assert vllm.tool_names() == list_parsers()
    assert "hermes" in vllm.reasoning_names()
    assert "harmony" not in vllm.reasoning_names()
    assert all(get_parser(name).format.thinking for name in vllm.reasoning_names())


@pytest.mark.parametrize(
    ("engine", "action"),
    [
        ("vllm", "import treadle_parsers.shims.vllm.treadle_vllm_plugin"),
        ("sglang", "from treadle_parsers.shims.sglang import register; register()"),
        ("atroposlib", "from treadle_parsers.shims.atropos import install; install()"),
        (
            "transformers",
            "from treadle_parsers.shims.huggingface import parse_response as p\n"
            "p('x', 'hermes', tools=[lambda: 1])",
        ),
    ],
)
def test_without_the_other_software_the_error_says_what_to_install(engine, action):
    told = python(f"import sys; sys.modules[{engine!r}] = None\n{action}")
    last = told.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "install treadle-parsers" in last


def test_sglang_finds_the_plugin():
    [entry] = importlib.metadata.entry_points(group="sglang.srt.plugins", name="treadle")
    assert entry.load().__module__ == "treadle_parsers.shims.sglang"
