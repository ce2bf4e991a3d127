"""The programs of the pages on pools and configurations run."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra `server`")

DOCS = Path(__file__).parent.parent / "docs"
PROGRAMS = [
    pytest.param(program, id=f"{page}-{number}")
    for page in ("pool", "configuration")
    for number, program in enumerate(
        re.findall(r"```python\n(.+?)```", (DOCS / f"{page}.md").read_text("utf-8"), re.DOTALL)
    )
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_pages_runs(program):
    body = textwrap.indent(program, "    ")
    whole = f"import asyncio\n\nasync def main():\n{body}\nasyncio.run(main())\n"
    done = subprocess.run(
        [sys.executable, "-c", whole], capture_output=True, text=True, timeout=120, check=False
    )
    if "no isolation level" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
