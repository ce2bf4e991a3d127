import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
SNIPPET = r"```python\n(.*?)```"


def test_the_readme_snippet_runs():
    (snippet,) = re.findall(SNIPPET, README.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "finished 42, and rain.",
        "['42', 'Rain in Bergen for 1 day(s).'] True",
    ]


def _doc_snippets():
    return [
        pytest.param(snippet, id=f"{page.stem}-{number}")
        for page in sorted((README.parent / "docs").glob("*.md"))
        for number, snippet in enumerate(re.findall(SNIPPET, page.read_text(), re.DOTALL))
    ]


@pytest.mark.parametrize("snippet", _doc_snippets())
def test_the_snippets_of_the_documentation_run(snippet):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_dependency_is_explained():
    import tomllib

    project = tomllib.loads((README.parent / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = re.split(r"[<>=]", requirement)[0]
        assert f"- `{name}`: " in README.read_text()
