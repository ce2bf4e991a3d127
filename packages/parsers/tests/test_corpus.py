"""Real cases of other projects' test suites, where a `shared` folder holds them: calls, content
and streaming.

Cases whose expected calls are fragments of an unfinished call count as right when that call is
reported as `truncated` or `invalid_json` with exactly that text. Left out of the content check:
texts with `<bos>` tokens inside words, and cases recorded with a part of the parser switched off.
"""

import contextlib
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from treadle_parsers import CallStatus, ParsedMessage, get_parser, list_parsers
from treadle_parsers.testing import check_text, pieces

NAMES = {"harmony": "openai", "cohere_command": "cohere_command3"}
SWITCHED_OFF = {"Qwen3ReasoningNoToolParser", "_ReasoningOnlyDelegating"}
READABLE = {CallStatus.OK, CallStatus.UNKNOWN_TOOL, CallStatus.SCHEMA_MISMATCH}


def cases_file() -> Path:
    root = Path(__file__).resolve().parents[3]
    given = os.environ.get("TREADLE_SHARED")
    places = [Path(given)] if given else [root.parent / "shared", root.parent.parent / "shared"]
    for place in places:
        if (place / "parsers" / "cases.jsonl.gz").is_file():
            return place / "parsers" / "cases.jsonl.gz"
    pytest.skip("no shared folder with parsers/cases.jsonl.gz beside the repository")


def cases() -> list[dict[str, Any]]:
    with gzip.open(cases_file(), "rt", encoding="utf-8") as lines:
        every = [json.loads(line) for line in lines]
    return [
        case
        for case in every
        if case["confidence"] in ("high", "single")
        and not case.get("tool_choice")
        and not case.get("partial")
        and case.get("parser") not in SWITCHED_OFF
        and (case["family"], case.get("parser")) != ("hermes", "_Parser")
    ]


def name_of(case: dict[str, Any]) -> str:
    known = set(list_parsers())
    for name in (case.get("parser"), case["family"], NAMES.get(case["family"])):
        if name in known:
            return name
    raise AssertionError(f"no parser for the family {case['family']!r}")


def normal(name: str, arguments: Any) -> str:
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError):
            arguments = json.loads(arguments) if arguments.strip() else {}
    return json.dumps([name, arguments or {}], sort_keys=True)


def right(case: dict[str, Any], message: ParsedMessage) -> bool:
    want = [normal(call["name"], call["arguments"]) for call in case["expected_calls"]]
    good = [call for call in message.tool_calls if call.status in READABLE]
    every = message.tool_calls
    return want in (
        [normal(call.name, call.arguments) for call in good],
        [normal(call.name, call.arguments) for call in every],
    )


@pytest.fixture(scope="module")
def parsed() -> list[tuple[dict[str, Any], ParsedMessage]]:
    results = []
    for case in cases():
        options = {"tools": case["tools"], "prefix": case.get("prefix") or ""}
        cuts = [pieces(case["text"], size) for size in (1, 2, 3, 7)]
        results.append((case, check_text(get_parser(name_of(case)), case["text"], cuts, **options)))
    return results


def test_calls_are_right_in_ninety_eight_of_a_hundred_cases(parsed):
    wrong = [case["id"] for case, message in parsed if not right(case, message)]
    assert len(wrong) <= 0.02 * len(parsed), wrong


def test_content_is_right_where_nothing_was_switched_off(parsed):
    counted, wrong = 0, []
    for case, message in parsed:
        expected = case["expected_content"]
        reasoning = case.get("expected_reasoning")
        form = get_parser(name_of(case)).format
        markers = [block.open for block in form.thinking] + [block.close for block in form.thinking]
        off = any(marker in (expected or "") for marker in markers)
        if expected is None or "<bos>" in case["text"] or off:
            continue
        if reasoning and not case.get("prefix") and markers and markers[0] not in case["text"]:
            continue  # recorded with thinking already open, which only `prefix` can tell
        counted += 1
        if message.content.strip() != expected.strip():
            wrong.append(case["id"])
    assert len(wrong) <= 0.05 * counted, wrong
