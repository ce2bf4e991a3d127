"""What the README promises runs."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example_prints_what_the_readme_says(tmp_path: Path):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    program = tmp_path / "example.py"
    program.write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[1.0, 1.0]"), done.stderr


def test_every_dependency_is_explained():
    import tomllib

    project = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))
    names = [re.split(r"[><=]", entry)[0] for entry in project["project"]["dependencies"]]
    explained = re.findall(r"^- `([^`]+)`: ", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in explained if name in names] == names
