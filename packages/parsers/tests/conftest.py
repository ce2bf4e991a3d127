"""What several test modules need: the fuzzer's modules, and recorded texts where there are any."""

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))


@pytest.fixture(scope="session")
def recorded_cases() -> list[dict[str, Any]]:
    """Recorded texts of other projects, from a `shared` folder; skips where there is none."""
    root = Path(__file__).resolve().parents[3]
    given = os.environ.get("TREADLE_SHARED")
    for place in (
        [Path(given)] if given else [root.parent / "shared", root.parent.parent / "shared"]
    ):
        file = place / "parsers" / "cases.jsonl.gz"
        if file.is_file():
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                return [json.loads(line) for line in lines]
    pytest.skip("no shared folder with parsers/cases.jsonl.gz beside the repository")
