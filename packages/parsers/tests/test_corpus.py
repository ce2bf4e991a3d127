"""Real cases of other projects' test suites, where a `shared` folder holds them: calls, content,
reasoning and streaming, and the page that explains every miss.

What is counted and how answers are compared is said in `benchmarks/parser_cases`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
MISSES = Path(__file__).resolve().parents[1] / "docs" / "misses.md"
RULES = MISSES.with_name("typing.md")
LISTED = re.compile(r"^- `(?P<case>.+)`: (?P<parts>[a-z, ]+)$", re.MULTILINE)
SECTION = re.compile(r"^## (?:Rule (?P<rule>\d+)|No rule): ", re.MULTILINE)


def cases_file() -> Path:
    given = os.environ.get("TREADLE_SHARED")
    places = [Path(given)] if given else [ROOT.parent / "shared", ROOT.parent.parent / "shared"]
    for place in places:
        if (place / "parsers" / "cases.jsonl.gz").is_file():
            return place / "parsers" / "cases.jsonl.gz"
    pytest.skip("no shared folder with parsers/cases.jsonl.gz beside the repository")


@pytest.fixture(scope="module")
def scored() -> dict[str, Any]:
    scorer = ROOT / "benchmarks" / "parser_cases"
    done = subprocess.run(
        [sys.executable, str(scorer), str(cases_file()), "--json"],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=True,
    )
    return json.loads(done.stdout)


def share(scored: dict[str, Any], part: str) -> float:
    rate = scored["rates"][part]
    assert rate["told"] > 300
    return rate["right"] / rate["told"]


def test_calls_are_right_in_ninety_nine_of_a_hundred_cases(scored):
    assert share(scored, "calls") >= 0.99


def test_content_is_right_in_ninety_eight_of_a_hundred_cases(scored):
    assert share(scored, "content") >= 0.98


def test_reasoning_is_right_in_ninety_eight_of_a_hundred_cases(scored):
    assert share(scored, "reasoning") >= 0.98


def test_streaming_in_pieces_of_any_size_gives_the_same_message(scored):
    assert share(scored, "streaming") == 1


def test_every_miss_is_listed_with_what_is_wrong_in_it(scored):
    page = MISSES.read_text(encoding="utf-8")
    listed = {found["case"]: found["parts"].split(", ") for found in LISTED.finditer(page)}
    assert listed == scored["misses"]


def test_every_list_of_misses_names_a_rule_that_exists():
    rules = set(re.findall(r"^(\d+)\. \*\*", RULES.read_text(encoding="utf-8"), re.MULTILINE))
    sections = [found["rule"] for found in SECTION.finditer(MISSES.read_text(encoding="utf-8"))]
    assert len(sections) > 10
    assert {rule for rule in sections if rule} <= rules
