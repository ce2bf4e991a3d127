"""One run: every format, shape and size, treadle and the engines in turn."""

import os
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version

from cases import Shape, all_formats, make_case
from ours import time_case, time_growth
from peers import Peer
from tables import Row, failures, summary, table, worst

from treadle_parsers import Format, get_parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure."""

    formats: Sequence[str]
    """Names or aliases; empty for all."""
    sizes: Sequence[int]
    """Characters of the argument in the cases that all sides parse."""
    small: int
    large: int
    """The sizes between which treadle's growth is measured."""
    limit: float
    """Seconds that an engine may take for one parse."""
    pythons: dict[str, str | None]
    """Engine to interpreter."""


def run(plan: Plan) -> str:
    """Measure and return the report as markdown."""
    forms = all_formats()
    if plan.formats:
        wanted = {get_parser(name).name for name in plan.formats}
        forms = [form for form in forms if form.name in wanted]
    rows: list[Row] = []
    with ExitStack() as stack:
        peers = [
            stack.enter_context(Peer(name, python, limit=plan.limit))
            for name, python in plan.pythons.items()
        ]
        with suppress(KeyboardInterrupt):  # then the report holds the formats measured so far
            for number, form in enumerate(forms, start=1):
                print(f"{number}/{len(forms)} {form.name}", file=sys.stderr, flush=True)
                rows.append(_measure(plan, form, peers))
        return _report(plan, rows, peers)


def _measure(plan: Plan, form: Format, peers: Sequence[Peer]) -> Row:
    row = Row(format=form.name)
    for shape in Shape:
        for size in plan.sizes:
            case = make_case(form, shape, size)
            row.timings[shape, size, "treadle"] = time_case(case)
            for peer in peers:
                timing = peer.time_case(case)
                if timing is not None:
                    row.timings[shape, size, peer.name] = timing
        row.growth[shape] = time_growth(form, shape, plan.small, plan.large)
    return row


def _report(plan: Plan, rows: Sequence[Row], peers: Sequence[Peer]) -> str:
    present = [peer.name for peer in peers if peer.present]
    pivot = 16 * 1024 if 16 * 1024 in plan.sizes else plan.sizes[-1]
    lines = [
        table(rows, plan.sizes, present, plan.limit),
        "",
        *summary(rows, pivot, present, plan.limit),
        worst(rows),
        *failures(rows, present),
        f"- growth, µs a delta and MB/s of treadle: {plan.small // 1024} KB to "
        f"{plan.large // 1024} KB; an engine is stopped after {plan.limit:g} s",
        f"- Python {platform.python_version()}, {os.cpu_count()} cores ({platform.machine()}); "
        f"treadle-parsers {version('treadle-parsers')}; "
        + "; ".join(f"{peer.name} {peer.version}" for peer in peers),
    ]
    return "\n".join(lines)
