"""Fuzz every format for a while and say what came of it.

    uv run --isolated --package treadle-parsers --with atheris \
        python packages/parsers/fuzz/run.py --minutes 60

Begins with the corpus beside this file and with rendered calls of every format. Progress is
printed every half minute, a summary at the end; the exit status is 1 when anything was found.
`--keep` writes the smallest set of cases that reaches the same code back into the corpus.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parser_fuzz.cases import FORMATS, Case, case_of, decoded, encoded, read_corpus, write_corpus
from parser_fuzz.findings import failure, read_findings, shrunk
from parser_fuzz.mutations import seeds

HERE = Path(__file__).parent
CORPUS = HERE / "corpus.jsonl"
FOUND = HERE / "found.jsonl"
"""Every case that ever failed, made small; failing again is the one thing it must not do."""
CORPUS_LIMIT = 190_000
"""Most bytes of the corpus file."""
LONGEST_INPUT = 2000
PROGRESS_EVERY = 30.0
_STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\S+).*?rss: (\S+)")
RESTARTS = 20


@dataclass(slots=True)
class Progress:
    """What the engine last said of itself."""

    runs: int = 0
    before: int = 0
    """Runs of engines that were started earlier."""
    coverage: int = 0
    features: int = 0
    corpus: str = "0"

    def read(self, line: str) -> None:
        """Take a line of the engine's output."""
        found = _STATUS.match(line)
        if found:
            self.runs = self.before + int(found[1])
            self.coverage, self.features = int(found[2]), int(found[3])
            self.corpus = f"{found[4]} inputs ({found[5]})"


def _store(folder: Path, cases: Sequence[Case]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        data = encoded(case)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def _engine(work: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "target.py"), str(work), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def fuzz(work: Path, seconds: float, progress: Progress) -> list[str]:
    """Run the engine until the time is up, again when it dies; return how it died."""
    deaths: list[str] = []
    end = time.monotonic() + seconds
    while len(deaths) < RESTARTS and (left := end - time.monotonic()) > 1:
        engine = _engine(
            work,
            f"-max_total_time={int(left) + 1}",
            f"-max_len={LONGEST_INPUT}",
            "-timeout=60",
            "-rss_limit_mb=2048",
            f"-artifact_prefix={work}/died-",
            str(work / "live"),
        )
        tail = _follow(engine, progress, end)
        if engine.wait() != 0:
            deaths.append("\n".join(tail[-25:]))
        progress.before = progress.runs
    return deaths


def _follow(engine: subprocess.Popen[str], progress: Progress, end: float) -> list[str]:
    """Read the engine's output until it ends; return its last lines."""
    assert engine.stderr
    tail: list[str] = []
    due = time.monotonic() + PROGRESS_EVERY
    for line in engine.stderr:
        progress.read(line)
        tail = [*tail[-40:], line.rstrip()]
        if time.monotonic() > due:
            due = time.monotonic() + PROGRESS_EVERY
            left = max(0.0, end - time.monotonic())
            print(
                f"{left:6.0f} s left, {progress.runs} runs, coverage {progress.coverage}, "
                f"{progress.features} features, {progress.corpus}",
                flush=True,
            )
    return tail


def keep(work: Path, target: Path) -> None:
    """Write the smallest set of cases that reaches the same places into the corpus file."""
    small = work / "small"
    small.mkdir(exist_ok=True)
    merge = _engine(
        work, "-merge=1", "-use_counters=0", "-timeout=60", str(small), str(work / "live")
    )
    merge.communicate()
    cases = [decoded(path.read_bytes()) for path in small.iterdir()]
    cases = [case for case in cases if not failure(case)]
    write_corpus(target, cases)
    while target.stat().st_size > CORPUS_LIMIT:  # the longest go first
        cases = sorted(cases, key=lambda case: len(case.text))[: -len(cases) // 20]
        write_corpus(target, cases)
    print(f"kept {len(cases)} cases, {target.stat().st_size} bytes")


def report(work: Path, progress: Progress, seconds: float, deaths: Sequence[str]) -> bool:
    """Print the summary; say whether all is well."""
    path = work / "statistics.json"
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    reached: dict[str, list[str]] = told.get("reached", {})
    runs: dict[str, int] = told.get("runs", {})
    missing = [name for name in FORMATS if "status ok" not in reached.get(name, [])]
    speed = progress.runs / seconds
    fewest = min(runs.values(), default=0)
    facts = sum(len(found) for found in reached.values())
    print(f"\nexecutions      {progress.runs} in {seconds:.0f} s, {speed:.0f} a second")
    print(f"coverage        {progress.coverage} places, {progress.features} features")
    print(f"live corpus     {progress.corpus}")
    print(f"formats         {len(runs)} of {len(FORMATS)}; fewest runs of one {fewest}")
    print(f"read a call     {len(FORMATS) - len(missing)} of {len(FORMATS)} {missing or ''}")
    print(f"outcomes        {facts} pairs of a format and an outcome")
    print(f"characters      {told.get('characters', 0)}")
    for title in ("slowest", "longest"):
        one = told.get(title, {})
        if "case" in one:
            each = one["seconds"] / (one["characters"] + 1000) * 1e6
            print(
                f"{title:<16}{one['seconds']:.3f} s for {one['characters']} characters "
                f"({each:.1f} us each): {one['case']!r}"
            )
    rows = read_findings(work / "findings.jsonl")
    for row in rows:
        small = shrunk(case_of(row["case"]))
        print(f"\nFOUND {row['what']}\n  {str(row['message'])[:300]}\n  {small}")
    for death in deaths:
        print(f"\nTHE ENGINE ENDED\n{death}")
    print(f"\nfindings        {len(rows)}, deaths of the engine {len(deaths)}")
    return not rows and not deaths and len(runs) == len(FORMATS) and not missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--work", type=Path, help="folder for the growing corpus, kept between runs"
    )
    parser.add_argument("--keep", action="store_true", help="write the corpus file anew at the end")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        _store(work / "live", [*read_corpus(CORPUS), *read_corpus(FOUND), *seeds()])
        for old in ("findings.jsonl", "statistics.json"):
            (work / old).unlink(missing_ok=True)
        progress = Progress()
        begun = time.monotonic()
        well = True
        if options.minutes > 0:
            deaths = fuzz(work, options.minutes * 60, progress)
            well = report(work, progress, time.monotonic() - begun, deaths)
        if options.keep:
            keep(work, CORPUS)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
