"""What went wrong: each kind of failure once, with the smallest case that shows it."""

import json
import traceback
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from parser_fuzz.cases import Case
from parser_fuzz.checks import check


def signature(case: Case, error: BaseException) -> str:
    """Return what failures of one kind have in common: format, type and place."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    place = f"{Path(last.filename).name}:{last.name}: {last.line}"
    return f"{case.format} | {type(error).__name__} at {place}"


def failure(case: Case) -> str:
    """Return the signature of what goes wrong in `case`; empty when all is well."""
    try:
        check(case)
    except Exception as error:  # noqa: BLE001 - anything that is raised is a finding
        return signature(case, error)
    return ""


class Findings:
    """The failures so far, one JSON line for each kind, appended as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[str] = set()
        if path.exists():
            self._seen = {row["what"] for row in read_findings(path)}

    def note(self, case: Case, error: BaseException) -> None:
        """Write `error` down unless its kind is known."""
        what = signature(case, error)
        if what in self._seen:
            return
        self._seen.add(what)
        row = {"what": what, "message": str(error)[:500], "case": asdict(case)}
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")


def read_findings(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a findings file; none when it doesn't exist."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def shrunk(case: Case, attempts: int = 2000) -> Case:
    """Return a smaller case that fails in the same way."""
    want = failure(case)
    if not want:
        return case
    written_out = replace(case, text=case.expanded, repeat=(0, 0, 1))
    if len(written_out.text) <= 2000 and failure(written_out) == want:
        case = written_out
    while attempts > 0:
        for smaller in _smaller(case):
            attempts -= 1
            if failure(smaller) == want:
                case = smaller
                break
            if attempts <= 0:
                return case
        else:
            return case
    return case


def _smaller(case: Case) -> Iterator[Case]:
    plain = Case(format=case.format, text=case.text, cuts=case.cuts, repeat=case.repeat)
    if plain != case:
        yield plain
        yield replace(case, prefix="")
        yield replace(case, reason=None)
        yield replace(case, tools="none")
    if case.repeat[2] > 1:
        start, end, times = case.repeat
        yield replace(case, repeat=(start, end, times // 2))
        yield replace(case, repeat=(start, end, times - 1))
        yield replace(case, text=case.text[:end])
        if start:
            yield replace(case, text=case.text[1:], repeat=(start - 1, end - 1, times))
        return
    size = len(case.text) // 2
    while size:
        for start in range(0, len(case.text), size):
            yield replace(case, text=case.text[:start] + case.text[start + size :])
        size //= 2
