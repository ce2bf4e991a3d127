"""The pages about formats are what the descriptions say now, and their examples run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from treadle_parsers import list_parsers
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
    exec(compile(code[1], f"{name}.md", "exec"), {})
