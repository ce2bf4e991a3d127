"""The process that the fuzzing engine runs in: one case at a time, coverage from instrumented code.

Reads the cases from the bytes that atheris gives it. Coverage of code alone would keep one input
for a code path that fifty formats share, so every outcome of every format counts as a place to
reach as well. Statistics go to a file, since the engine ends the process without returning.
"""

import json
import random
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import atheris

with atheris.instrument_imports(include=["treadle_parsers"]):
    from treadle_parsers import CallStatus, registry

    registry.all_formats()

from parser_fuzz.cases import FORMATS, PREFIXES, TOOLS, Case, decoded, encoded
from parser_fuzz.checks import Outcome, check
from parser_fuzz.findings import Findings
from parser_fuzz.mutations import crossed, mutated, rendered

STATISTICS_EVERY = 2.0
"""Seconds between two writings of the statistics."""


def _place() -> None:
    """Do nothing; copies of this function are places that coverage counts."""


def _new_place() -> Callable[[], None]:
    return atheris.instrument_func(FunctionType(_place.__code__.replace(), {}))


FACTS = (
    *(f"status {status}" for status in CallStatus),
    *(f"tools {name}" for name in TOOLS),
    *(f"prefix {name}" for name in PREFIXES),
    "content",
    "reasoning",
    "content and call",
    "reasoning and call",
    "two calls",
    "three calls",
    "ok after a bad call",
    "bad after an ok call",
    "text after a call",
    "repeated",
    "cut off",
)
PLACES = {(name, fact): _new_place() for name in FORMATS for fact in FACTS}


def facts(case: Case, outcome: Outcome) -> list[str]:
    """Return what happened in `case`, in the words of `FACTS`."""
    message = outcome.message
    calls = [call.status for call in message.tool_calls]
    good = [status is CallStatus.OK for status in calls]
    told = {
        "content": message.content,
        "reasoning": message.reasoning,
        "content and call": message.content and calls,
        "reasoning and call": message.reasoning and calls,
        "two calls": len(calls) > 1,
        "three calls": len(calls) > 2,
        "ok after a bad call": False in good and True in good[good.index(False) :],
        "bad after an ok call": True in good and False in good[good.index(True) :],
        "text after a call": calls and message.text[message.tool_calls[-1].span.end :].strip(),
        "repeated": case.repeat[2] > 100,
        "cut off": case.reason == "length" and calls,
    }
    around = [f"tools {case.tools}", f"prefix {case.prefix}"]
    return [
        *(fact for fact, holds in told.items() if holds),
        *(f"status {status}" for status in set(calls)),
        *(around if calls else []),
    ]


class Statistics:
    """Counts of what was run, written to a file every few seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = time.monotonic()
        self.runs = Counter[str]()
        self.reached: dict[str, set[str]] = {name: set() for name in FORMATS}
        self.characters = 0
        self.slowest: dict[str, object] = {"each": 0.0}
        self.longest: dict[str, object] = {"seconds": 0.0}

    def note(self, case: Case, outcome: Outcome, what: list[str]) -> None:
        """Count one case."""
        self.runs[case.format] += 1
        self.reached[case.format].update(what)
        self.characters += outcome.characters
        each = outcome.seconds / (outcome.characters + 1000)
        if each > float(str(self.slowest["each"])):
            self.slowest = {"each": each, **_about(case, outcome)}
        if outcome.seconds > float(str(self.longest["seconds"])):
            self.longest = _about(case, outcome)
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + STATISTICS_EVERY
            self.write()

    def write(self) -> None:
        """Write the file in one step, so that a reader never sees half of it."""
        told = {
            "runs": self.runs,
            "reached": {name: sorted(facts) for name, facts in self.reached.items()},
            "characters": self.characters,
            "slowest": self.slowest,
            "longest": self.longest,
        }
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(told), encoding="utf-8")
        fresh.replace(self._path)


def _about(case: Case, outcome: Outcome) -> dict[str, object]:
    return {
        "seconds": outcome.seconds,
        "characters": outcome.characters,
        "format": case.format,
        "case": encoded(case).decode("utf-8", "backslashreplace")[:200],
    }


def _scramble(text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return atheris.Mutate(data, len(data) + 16).decode("utf-8", "surrogateescape")


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change a case for the engine."""
    draw = random.Random(seed)
    if len(data) < 3:
        name = draw.choice(FORMATS)
        return encoded(Case(format=name, text=rendered(name, draw)))[:max_size]
    return encoded(mutated(decoded(data), draw, _scramble))[:max_size]


def cross(first: bytes, second: bytes, max_size: int, seed: int) -> bytes:
    """Join two cases for the engine."""
    return encoded(crossed(decoded(first), decoded(second), random.Random(seed)))[:max_size]


def main(arguments: list[str]) -> None:
    """Fuzz: `arguments` are this script, the folder to report to, and the engine's own."""
    script, folder, *engine = arguments
    statistics = Statistics(Path(folder) / "statistics.json")
    findings = Findings(Path(folder) / "findings.jsonl")

    def run(data: bytes) -> None:
        case = decoded(data)
        try:
            outcome = check(case)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is written down and the run goes on
            findings.note(case, error)
            return
        what = facts(case, outcome)
        for fact in what:
            PLACES[case.format, fact]()
        statistics.note(case, outcome, what)

    again = shlex.join([sys.executable, script, folder])  # how a merge starts its workers
    atheris.Setup([again, *engine], run, custom_mutator=mutate, custom_crossover=cross)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
