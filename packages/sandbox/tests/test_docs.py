"""The pages name checks that exist, and programs that run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from treadle_sandbox.testing import (
    CHECKS,
    EGRESS_CHECKS,
    ISOLATION_CHECKS,
    RESOURCE_CHECKS,
)

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
KNOWN = {check.__name__ for check in (*CHECKS, *ISOLATION_CHECKS, *RESOURCE_CHECKS, *EGRESS_CHECKS)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_check_that_a_page_names_exists(page):
    assert set(re.findall(r"\bcheck_\w+", page.read_text(encoding="utf-8"))) - KNOWN == set()


def test_every_test_that_the_page_of_attacks_names_exists():
    known = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        known |= set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "attacks.md").read_text(encoding="utf-8")))
    assert named
    assert named - known == set()


def test_every_attack_stands_on_the_page_of_attacks():
    text = (DOCS / "attacks.md").read_text(encoding="utf-8")
    attacks = (*ISOLATION_CHECKS, *RESOURCE_CHECKS, *EGRESS_CHECKS)
    assert {check.__name__ for check in attacks} - set(re.findall(r"check_\w+", text)) == set()


def test_every_check_of_the_floor_has_its_counterpart():
    text = (DOCS / "conformance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(test_\w+)` \| (.+) \|$", text, re.MULTILINE)
    assert len({name for name, _ in rows}) == len(rows) == 44
    assert all(re.match(r"`check_\w+`$|not applicable: ", here) for _, here in rows)


def test_the_program_of_the_conformance_page_runs():
    text = (DOCS / "conformance.md").read_text(encoding="utf-8")
    program = text.split("```python\n")[1].split("```")[0]
    one = program.replace("(*CHECKS, *ISOLATION_CHECKS)", "(*CHECKS[:1], *ISOLATION_CHECKS[:1])")
    assert one != program
    one = one.replace("LocalBackend(slots=8)", "LocalBackend(slots=8, min_isolation='namespaces')")
    done = subprocess.run(
        [sys.executable, "-c", one], capture_output=True, text=True, timeout=120, check=False
    )
    if "IsolationUnavailableError" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("holds: check_") == 2
