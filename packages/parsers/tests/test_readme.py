"""The snippets of the README and of the page on engines run."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_snippets_of_the_readme_run():
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, str(README), "exec"), {})


def test_the_snippets_on_engines_run():
    text = (README.parent / "docs" / "engines.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        if "install()" not in snippet:  # that one changes atroposlib, which has its own test
            exec(compile(snippet, "engines.md", "exec"), {})
