"""The pages about formats are what the descriptions say now, and their examples run."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from treadle_parsers import CallStatus, list_parsers
from treadle_parsers.registry import all_formats

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.stem for path in (DOCS / "formats").glob("*.md") if path.stem != "README")


def test_the_pages_are_those_that_the_descriptions_make():
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (
        "these pages differ from the descriptions; run `python packages/parsers/docs/generate.py`:"
        f"\n{done.stdout}{done.stderr}"
    )


def test_every_format_has_a_page_and_every_name_a_row():
    assert sorted(form.name for form in all_formats()) == PAGES
    rows = (DOCS / "formats" / "README.md").read_text(encoding="utf-8").splitlines()
    names = [found[1] for row in rows if (found := re.match(r"\| `(.+?)` \|", row))]
    assert names == list(list_parsers())


@pytest.mark.parametrize("name", PAGES)
def test_the_example_of_a_page_runs(name):
    page = (DOCS / "formats" / f"{name}.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^(`{3,})python\n(.*?)\n\1$", page, re.DOTALL | re.MULTILINE)
    shown = {}
    exec(compile(code[1], f"{name}.md", "exec"), shown)  # its own asserts say what each part is
    message = shown["parser"].parse(shown["text"], shown["tools"])
    assert shown["parser"].name == name
    assert shown["message"] == message
    assert {call.name for call in message.tool_calls} <= {"get_weather", "find_shops"}
    assert {call.status for call in message.tool_calls} == {CallStatus.OK}


ADDING = (DOCS / "adding-a-format.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", ADDING, re.DOTALL | re.MULTILINE)


def python(*argv, **options):
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_the_worked_example_of_a_new_format_runs():
    done = python("-W", "error", "-c", "\n".join(blocks("python")))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_worked_example_is_a_plugin(tmp_path):
    (module,) = [code for code in blocks("python") if code.startswith("# marlin_parser.py")]
    (project,) = blocks("toml")
    described = tomllib.loads(project)["project"]
    info = tmp_path / "marlin_parser-1.0.dist-info"
    info.mkdir()
    (tmp_path / "marlin_parser.py").write_text(module, encoding="utf-8")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n"
    )
    points = described["entry-points"]["treadle_parsers.formats"]
    lines = [f"{name} = {place}" for name, place in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[treadle_parsers.formats]", *lines]))
    done = python(
        *("-m", "treadle_parsers", "--format", "marlin-2"),
        input="<|act|>f<|with|>{}<|done|>",
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert json.loads(done.stdout)["tool_calls"][0]["name"] == "f"


def test_the_table_of_bodies_holds_every_body():
    told = set(re.findall(r"`(?:bodies\.)?(\w+)\.[A-Z]\w+`", ADDING))
    bodies = {path.stem for path in (DOCS.parent / "src/treadle_parsers/bodies").glob("[a-z]*.py")}
    assert told == bodies | {"channels"}
    for named in re.findall(r"`(formats/\w+\.py)`", ADDING):
        assert (DOCS.parent / "src/treadle_parsers" / named).is_file()
