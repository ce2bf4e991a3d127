import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("index", range(len(SNIPPETS)))
def test_a_snippet_of_the_readme_runs(index, tmp_path):
    shown = subprocess.run(
        [sys.executable, "-c", SNIPPETS[index]], capture_output=True, text=True, cwd=tmp_path
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout


def test_the_readme_has_snippets():
    assert len(SNIPPETS) == 2


def test_every_dependency_has_its_reason():
    lines = (README.parent / "pyproject.toml").read_text(encoding="utf-8")
    block = lines.split("dependencies = [")[1].split("]")[0]
    names = re.findall(r'"([a-z0-9-]+)', block)
    text = README.read_text(encoding="utf-8")
    assert [name for name in names if f"| `{name}` |" not in text] == []
