"""Commands a second of ours beside SWE-ReX and inspect_ai's local sandbox, in one run.

    uv run python benchmarks/sandbox [--seconds 4] [--clients 1 16 64] [--repeats 3]

Every project runs in an environment of its own, one after another, so nothing else loads the
machine; the best of the repeats counts, for each. `true` is the project's way to run a command that
doesn't depend on the one before, `external` is the same with a program from the disk, `session` a
persistent shell. Prints a Markdown table with ratios, and the targets that are met or missed.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One column of the table."""

    name: str
    command: tuple[str, ...]
    kinds: tuple[str, ...]


def _alone(*words: str) -> tuple[str, ...]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = ("--quiet", "--isolated", "--no-project", "--python", version)
    *needs, script = words
    withs = tuple(word for need in needs for word in ("--with", need))
    return ("uv", "run", *options, *withs, "python", str(HERE / script))


OURS = (sys.executable, str(HERE / "client_treadle.py"))
PROJECTS = (
    Project(
        name="Treadle, server",
        command=(*OURS, "server"),
        kinds=("true", "external", "session", "argv"),
    ),
    Project(
        name="Treadle, local",
        command=(*OURS, "local"),
        kinds=("true", "external", "session", "argv"),
    ),
    Project(
        name="SWE-ReX 1.4.0",
        command=_alone("swe-rex==1.4.0", "aiohttp", "client_swerex.py"),
        kinds=("true", "external", "session"),
    ),
    Project(
        name="inspect_ai local",
        command=_alone("inspect-ai==0.3.285", "client_inspect.py"),
        kinds=("true", "external"),
    ),
)
Row = dict[str, float]


def measure(project: Project, kind: str, clients: int, seconds: float, repeats: int) -> Row | None:
    """Return the best row of some repeats; `None` when the project has no such thing or fails."""
    if kind not in project.kinds:
        return None
    rows: list[Row] = []
    for _ in range(repeats):
        words = (*project.command, kind, str(clients), str(seconds))
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            print(f"{project.name}, {kind}, {clients} clients: {reason}", file=sys.stderr)
            return None
        rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return max(rows, key=lambda row: row["rate"])


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{row['rate']:,.0f}/s ({row['p50_ms']:.1f} / {row['p99_ms']:.0f} ms)"


def _ratio(ours: Row | None, theirs: Row | None) -> str:
    return "-" if ours is None or theirs is None else f"{ours['rate'] / theirs['rate']:.1f}x"


def main() -> int:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    names = [project.name for project in PROJECTS]
    print("| command | clients |", " | ".join(names), "| to SWE-ReX | to inspect_ai |")
    print("|---|---|" + "---|" * (len(names) + 2))
    for kind in ("true", "external", "session", "argv"):
        for clients in options.clients:
            rows = [
                measure(project, kind, clients, options.seconds, options.repeats)
                for project in PROJECTS
            ]
            ratios = (_ratio(rows[0], rows[2]), _ratio(rows[0], rows[3]))
            print("|", " | ".join([kind, str(clients), *map(_cell, rows), *ratios]), "|")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
