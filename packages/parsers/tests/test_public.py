"""The public interface: names, registry, errors, and what importing costs."""

import json
import pkgutil
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import treadle_parsers
from treadle_parsers import (
    DuplicateParserError,
    Format,
    ParserError,
    StreamClosedError,
    UnknownParserError,
    formats,
    get_parser,
    list_parsers,
    register_parser,
)
from treadle_parsers.bodies.json_call import JsonCall
from treadle_parsers.catalog import NAMES

PUBLIC = [
    "ArgumentsDelta",
    "CallEnd",
    "CallStart",
    "CallStatus",
    "ContentDelta",
    "Detection",
    "Dialect",
    "DuplicateParserError",
    "Event",
    "Format",
    "GrammarError",
    "ParsedMessage",
    "Parser",
    "ParserError",
    "ParserStream",
    "ReasoningDelta",
    "RenderError",
    "Segment",
    "SegmentKind",
    "Span",
    "StreamClosedError",
    "TemplateError",
    "Thinking",
    "ToolCall",
    "ToolSchema",
    "UnknownDialectError",
    "UnknownParserError",
    "detect",
    "get_parser",
    "list_parsers",
    "register_parser",
]


def test_the_public_names_are_pinned():
    assert sorted(treadle_parsers.__all__) == sorted(PUBLIC)
    assert all(hasattr(treadle_parsers, name) for name in PUBLIC)


def test_every_public_name_is_the_one_of_its_module():
    for name in PUBLIC:
        value = getattr(treadle_parsers, name)
        home = getattr(value, "__module__", "")
        if home.startswith("treadle_parsers."):
            assert getattr(import_module(home), name) is value
    assert set(PUBLIC) <= set(dir(treadle_parsers))
    with pytest.raises(AttributeError, match="no attribute 'get_parsre'"):
        getattr(treadle_parsers, "get_parsre")  # noqa: B009


def test_importing_the_package_alone_loads_no_other_module():
    code = (
        "import sys; before = set(sys.modules); import treadle_parsers;"
        "print(sorted(set(sys.modules) - before)); from treadle_parsers import get_parser;"
        "costly = {'asyncio', 'difflib', 'importlib.metadata', 'email', 'logging'};"
        "costly |= {'argparse', 'treadle_parsers.detection', 'treadle_parsers.grammars'};"
        "print(sorted((set(sys.modules) - before) & costly))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split("\n") == ["['treadle_parsers']", "[]", ""]


def test_every_alias_gives_the_parser_of_its_format():
    assert get_parser("qwen3_json") is get_parser("hermes")
    assert {"hermes", "qwen", "qwen25"} <= set(list_parsers())


def test_an_unknown_name_names_its_neighbours():
    with pytest.raises(UnknownParserError, match="hermes") as caught:
        get_parser("hermse")
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, ParserError)


def test_an_unknown_name_without_neighbours_lists_what_there_is():
    with pytest.raises(UnknownParserError, match=r"known names: .*hermes"):
        get_parser("zzzzzzzzzz")


def test_a_format_of_ones_own_can_be_registered_once():
    form = Format(
        name="test-own-format",
        summary="<c>{...}</c>",
        models="none",
        bodies=(JsonCall(open="<c>", close="</c>"),),
    )
    parser = register_parser(form)
    assert get_parser("test-own-format") is parser
    message = parser.parse('<c>{"name": "f", "arguments": {"x": 1}}</c>')
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("f", '{"x": 1}')]
    clash = Format(name="hermes", summary="", models="", bodies=())
    with pytest.raises(DuplicateParserError, match="hermes"):
        register_parser(clash)


def test_feeding_a_closed_stream_is_an_error_and_closing_again_is_not():
    stream = get_parser("hermes").stream()
    stream.feed("hello")
    message = stream.close()
    assert stream.close() is message
    with pytest.raises(StreamClosedError, match="new stream"):
        stream.feed("more")


def test_importing_loads_no_third_party_module():
    code = (
        "import sys; before = set(sys.modules); import treadle_parsers;"
        "[treadle_parsers.get_parser(name) for name in treadle_parsers.list_parsers()];"
        "treadle_parsers.detect(text='<tool_call>');"
        "import treadle_parsers.openai, treadle_parsers.tokens, treadle_parsers.testing;"
        "import treadle_parsers.grammars, treadle_parsers.response_template;"
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(roots - set(sys.stdlib_module_names) - {'treadle_parsers'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_has_complete_types():
    checker = shutil.which("pyright", path=str(Path(sys.executable).parent))
    if checker is None:
        pytest.skip("pyright isn't installed beside this Python")
    done = subprocess.run(
        [checker, "--verifytypes", "treadle_parsers", "--ignoreexternal", "--outputjson"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    completeness = json.loads(done.stdout)["typeCompleteness"]
    unknown = [
        one["name"]
        for one in completeness["symbols"]
        if one["isExported"] and not one["isTypeKnown"]
    ]
    assert unknown == []
    assert completeness["completenessScore"] == 1


def test_the_wheel_is_small(tmp_path):
    builder = shutil.which("uv")
    if builder is None:
        pytest.skip("uv isn't installed")
    package = Path(__file__).parents[1]
    done = subprocess.run(
        [builder, "build", "--wheel", "--quiet", "--out-dir", str(tmp_path), str(package)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode != 0 and "uv_build" in done.stderr:
        pytest.skip(f"the build backend can't be had: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 300_000
    names = zipfile.ZipFile(wheel).namelist()
    assert all(name.split("/")[0].startswith("treadle_parsers") for name in names)
    assert "treadle_parsers/py.typed" in names


def test_the_catalog_holds_the_names_that_the_formats_say():
    for module, names in NAMES.items():
        forms = import_module(f"treadle_parsers.formats.{module}").FORMATS
        said = [name for form in forms for name in (form.name, *form.aliases)]
        assert sorted(said) == sorted(names), f"bring {module} up to date in catalog.py"


def test_the_catalog_holds_every_module_of_formats():
    modules = {one.name for one in pkgutil.iter_modules(formats.__path__)}
    assert modules == {*NAMES}


def test_a_parser_loads_the_module_of_its_format_and_no_other():
    code = (
        "import sys, treadle_parsers as t; t.get_parser('qwen'); t.list_parsers(); "
        "print([m for m in sys.modules if m.startswith('treadle_parsers.formats.')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "['treadle_parsers.formats.hermes']"
