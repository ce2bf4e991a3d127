"""Grammar exports, judged by engines that others wrote: xgrammar compiles every structural tag and
GBNF grammar, llguidance reads the GBNF as well; both accept what `render` writes and refuse calls
that are wrong.

The engines are installed into an environment of their own; `TREADLE_ORACLES=1` asks for that, or
`TREADLE_ORACLES=PYTHON` names an interpreter that has them.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from treadle_parsers import CallStatus, Span, ToolCall, get_parser, list_parsers

pytestmark = pytest.mark.oracle

ENGINES = (
    "xgrammar==0.2.8",
    "llguidance==1.7.6",
    "apache-tvm-ffi",
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
    "numpy",
    "typing-extensions",
)
"""What the judge imports; without the dependencies of xgrammar that it doesn't (torch, triton)."""
JUDGE = Path(__file__).parent / "support" / "grammar_judge.py"
PARSERS = sorted({get_parser(name).name for name in list_parsers()})
WAYS = [
    (name, dialect)
    for name in PARSERS
    for dialect in (None, *(one.name for one in get_parser(name).format.dialects))
]
PARAMETERS = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "text": {"type": "string"},
        "flag": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "unit": {"enum": ["celsius", "kelvin"]},
        "where": {"type": "object", "properties": {"zip": {"type": "string"}}, "required": ["zip"]},
    },
    "required": ["count", "text"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_it", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}},
]
SMALL = {"count": 3, "text": "a b"}
WHOLE = {
    **SMALL,
    "flag": True,
    "tags": ["x", "y z"],
    "unit": "kelvin",
    "where": {"zip": "02134"},
}
GOOD = [
    [("get_it", SMALL)],
    [("get_it", WHOLE)],
    [("get_it", {**SMALL, "text": "é 漢 < & \n  it's"})],
    [("get_it", {**SMALL, "unit": "celsius"}), ("get_it", WHOLE)],
    [("now", {})],
    [("now", {}), ("get_it", SMALL), ("now", {})],
]
WRONG = {
    "an unknown name": ("got_it", SMALL),
    "a word for a number": ("get_it", {"count": "three", "text": "a b"}),
    "a missing argument": ("get_it", {"count": 3}),
    "a value that isn't listed": ("get_it", {**SMALL, "unit": "rankine"}),
}


def text_of(name: str, dialect: str | None, calls: list[tuple[str, Any]]) -> str:
    made = [
        ToolCall(
            name=tool,
            arguments=json.dumps(arguments, ensure_ascii=False),
            id=f"abcdefgh{index}",
            index=index,
            status=CallStatus.OK,
            span=Span(start=0, end=0),
            raw="",
        )
        for index, (tool, arguments) in enumerate(calls)
    ]
    form = get_parser(name).format.in_dialect(dialect)
    return form.calls_frame.open + form.bodies[0].render(made) + form.calls_frame.close


def texts_of(name: str, dialect: str | None) -> list[str]:
    """Return the texts of `GOOD`, then those of `WRONG` and one that breaks off."""
    good = [text_of(name, dialect, calls) for calls in GOOD]
    wrong = [text_of(name, dialect, [one]) for one in WRONG.values()]
    return [*good, *wrong, good[0][: len(good[0]) // 2 + 1]]


def cases() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for name, dialect in WAYS:
        parser, texts = get_parser(name), texts_of(name, dialect)
        grammar = parser.gbnf(TOOLS, dialect=dialect)
        auto = parser.structural_tag(TOOLS, dialect=dialect)
        required = parser.structural_tag(TOOLS, choice="required", dialect=dialect)
        said = ["Sure. " + text for text in texts]
        for engine, kind, source, judged in (
            ("auto", "structural_tag", auto, said),
            ("required", "structural_tag", required, texts),
            ("gbnf", "gbnf", grammar, texts),
            ("llguidance", "llguidance", grammar, texts),
        ):
            key = f"{name} {dialect} {engine}"
            made.append({"key": key, "kind": kind, "grammar": source, "texts": judged})
    return made


def interpreter(folder: Path) -> str:
    """Return an interpreter that has the engines, installing them where none is named."""
    asked = os.environ.get("TREADLE_ORACLES", "")
    uv = shutil.which("uv")
    if not asked:
        pytest.skip("set TREADLE_ORACLES=1 to judge the grammars with xgrammar and llguidance")
    if asked != "1":
        return asked
    if uv is None:
        pytest.skip("uv is needed to install the engines")
    python = str(folder / "bin" / "python")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, *ENGINES]
    subprocess.run(install, check=True)
    return python


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    python = interpreter(tmp_path_factory.mktemp("engines") / "env")
    done = subprocess.run(
        [python, str(JUDGE)], input=json.dumps(cases()), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("engine", ["auto", "required", "gbnf", "llguidance"])
@pytest.mark.parametrize(("name", "dialect"), WAYS)
def test_engines_accept_what_is_rendered_and_refuse_wrong_calls(verdicts, name, dialect, engine):
    verdict = verdicts[f"{name} {dialect} {engine}"]
    assert not verdict["error"]
    good, wrong = verdict["accepted"][: len(GOOD)], verdict["accepted"][len(GOOD) :]
    assert good == [True] * len(GOOD)
    assert dict(zip([*WRONG, "a text that breaks off"], wrong, strict=True)) == dict.fromkeys(
        [*WRONG, "a text that breaks off"], False
    )
