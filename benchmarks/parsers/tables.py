"""The benchmark's output: one markdown table and a few lines that sum it up.

Cells hold `string / array`. A ratio is the engine's time over treadle's; `>` where the engine was
stopped at the limit, `wrong` after a ratio whose engine didn't return the call as written (it
doesn't count in the summary), `-` where the engine has no such format or shape.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cases import Shape
from ours import Growth, Timing


@dataclass(slots=True, kw_only=True)
class Row:
    """The figures of one format."""

    format: str
    growth: dict[Shape, Growth] = field(default_factory=dict[Shape, Growth])
    timings: dict[tuple[Shape, int, str], Timing] = field(
        default_factory=dict[tuple[Shape, int, str], Timing]
    )
    """By shape, size and side (`treadle` or an engine's name)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """An engine's streaming or whole-text time over treadle's."""

    value: float
    bound: bool
    """The engine was stopped at the limit: the true ratio is larger."""
    right: bool


def ratio(row: Row, shape: Shape, size: int, peer: str, *, kind: str, limit: float) -> Ratio | None:
    """Return `peer`'s ratio on one case; None when it wasn't timed."""
    ours, theirs = row.timings[shape, size, "treadle"], row.timings.get((shape, size, peer))
    if theirs is None or theirs.failure:
        return None
    mine, other = (ours.stream, theirs.stream) if kind == "stream" else (ours.whole, theirs.whole)
    assert mine is not None
    value = (limit if other is None else other) / mine
    return Ratio(value=value, bound=other is None, right=theirs.right)


def table(rows: Sequence[Row], sizes: Sequence[int], peers: Sequence[str], limit: float) -> str:
    """Return the table, one row a format."""
    heads = ["format", "right", "growth", "µs/delta middle", "µs/delta end", "whole MB/s"]
    for peer in peers:
        heads += [f"{peer} stream × at {_kilo(size)}" for size in sizes]
        heads += [f"{peer} whole × at {_kilo(sizes[-1])}"]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        cells = [row.format, _both(lambda shape, row=row: _right(row, shape))]
        cells += _growth_cells(row)
        for peer in peers:
            for size, kind in [*((size, "stream") for size in sizes), (sizes[-1], "whole")]:
                cells.append(
                    _both(
                        lambda shape, row=row, peer=peer, size=size, kind=kind: _cell(
                            row, shape, size, peer, kind, limit
                        )
                    )
                )
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def summary(rows: Sequence[Row], size: int, peers: Sequence[str], limit: float) -> list[str]:
    """Return the lines below the table: median and slowest ratio of each engine at `size`."""
    lines: list[str] = []
    for peer in peers:
        for kind in ("stream", "whole"):
            found = [
                (one.value, f"{row.format} {shape}")
                for row in rows
                for shape in Shape
                if (one := ratio(row, shape, size, peer, kind=kind, limit=limit)) and one.right
            ]
            if not found:
                lines.append(f"- {peer}, {kind}, {_kilo(size)}: no comparable case")
                continue
            median = statistics.median(value for value, _ in found)
            slowest, where = min(found)
            below = sum(value < 1 for value, _ in found)
            lines.append(
                f"- {peer}, {kind}, {_kilo(size)}: median ratio {median:.1f} over {len(found)} "
                f"cases; slowest ratio {slowest:.2f} ({where}); below 1: {below}"
            )
    return lines


def worst(rows: Sequence[Row]) -> str:
    """Return treadle's own worst figures."""
    found = [
        (growth, f"{row.format} {shape}") for row in rows for shape, growth in row.growth.items()
    ]
    steep = max(found, key=lambda one: one[0].exponent)
    slow = max(found, key=lambda one: max(one[0].middle, one[0].end))
    dull = min(found, key=lambda one: one[0].throughput)
    return (
        f"- treadle: highest growth exponent {steep[0].exponent:.2f} ({steep[1]}); slowest delta "
        f"{max(slow[0].middle, slow[0].end) * 1e6:.2f} µs ({slow[1]}); slowest whole text "
        f"{dull[0].throughput / 1e6:.1f} MB/s ({dull[1]})"
    )


def failures(rows: Sequence[Row], peers: Sequence[str]) -> list[str]:
    """Return one line for each format that an engine couldn't be timed on."""
    lines: dict[str, None] = {}
    for row in rows:
        for (_, _, side), timing in row.timings.items():
            if side in peers and timing.failure:
                lines[f"- {side}, {row.format}: {timing.failure}"] = None
    return list(lines)


def _growth_cells(row: Row) -> list[str]:
    return [
        _both(lambda shape: f"{row.growth[shape].exponent:.2f}"),
        _both(lambda shape: f"{row.growth[shape].middle * 1e6:.2f}"),
        _both(lambda shape: f"{row.growth[shape].end * 1e6:.2f}"),
        _both(lambda shape: f"{row.growth[shape].throughput / 1e6:.0f}"),
    ]


def _cell(row: Row, shape: Shape, size: int, peer: str, kind: str, limit: float) -> str:
    timing = row.timings.get((shape, size, peer))
    if timing is not None and timing.failure:
        return "failed"
    one = ratio(row, shape, size, peer, kind=kind, limit=limit)
    if one is None:
        return "-"
    digits = 0 if one.value >= 10 else 1
    return f"{'>' if one.bound else ''}{one.value:.{digits}f}{'' if one.right else ' wrong'}"


def _right(row: Row, shape: Shape) -> str:
    ours = [one for (of, _, side), one in row.timings.items() if of == shape and side == "treadle"]
    return "yes" if all(one.right for one in ours) else "NO"


def _both(cell: Callable[[Shape], str]) -> str:
    cells = [cell(shape) for shape in Shape]
    return cells[0] if len({*cells}) == 1 else " / ".join(cells)


def _kilo(size: int) -> str:
    return f"{size // 1024} KB"
