"""What a person sees while a run goes on: a live table on a terminal, log lines elsewhere."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from treadle_envs.serving.statistics import RunStatistics

logger = logging.getLogger(__name__)

_FRAME_SECONDS = 0.25
_LINE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Readings that no event carries."""

    slots_used: int = 0
    slots_total: int = 0
    queue: int | None = None
    """Groups waiting in the trajectory API; None without one."""


@contextlib.asynccontextmanager
async def progress_view(
    title: str, statistics: RunStatistics, gauges: Callable[[], Gauges], *, live: bool
) -> AsyncGenerator[None]:
    """Show progress for the length of the block; the last state stays on the screen."""
    console = Console(stderr=True)
    if live:
        shown = _live_table(console, title, statistics, gauges)
    else:
        shown = _log_lines(statistics, gauges)
    task = asyncio.create_task(shown)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _live_table(
    console: Console, title: str, statistics: RunStatistics, gauges: Callable[[], Gauges]
) -> None:
    def frame() -> Panel:
        return Panel(table(statistics, gauges()), title=title, width=min(console.width, 78))

    with Live(frame(), console=console, auto_refresh=False) as live:
        try:
            while True:
                await asyncio.sleep(_FRAME_SECONDS)
                live.update(frame(), refresh=True)
        finally:
            live.update(frame(), refresh=True)


async def _log_lines(statistics: RunStatistics, gauges: Callable[[], Gauges]) -> None:
    """Log a line when a group went out, or every few seconds while rollouts are running."""
    seen = (-1, -1)
    while True:
        now = (statistics.groups_delivered, statistics.rollouts)
        if now != seen:
            seen = now
            logger.info("%s", line(statistics, gauges()))
        await asyncio.sleep(_LINE_SECONDS)


def line(statistics: RunStatistics, gauges: Gauges) -> str:
    """One log line of the state."""
    parts = [f"{name} {value}" for name, value in _readings(statistics, gauges) if value != "none"]
    return " | ".join(parts)


def table(statistics: RunStatistics, gauges: Gauges) -> Table:
    """The live table of the state."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", min_width=16)
    grid.add_column(overflow="fold")
    for name, value in _readings(statistics, gauges):
        grid.add_row(name, value)
    for message in statistics.last_messages:
        grid.add_row("", f"[red]{_escape(message)}[/red]")
    return grid


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _readings(statistics: RunStatistics, gauges: Gauges) -> list[tuple[str, str]]:
    target = f" of {statistics.target_groups}" if statistics.target_groups else ""
    tokens = (
        f"{statistics.sampled_tokens:,} sampled, {statistics.trained_tokens:,} trained, "
        f"{statistics.sampled_tokens / max(statistics.seconds, 0.1):,.0f}/s"
    )
    return [
        ("phase", statistics.phase),
        ("groups", f"{statistics.groups_delivered}{target} delivered"),
        ("mean reward", _ratio(statistics.mean_reward)),
        ("tool use", _ratio(statistics.tool_use_rate)),
        ("tokens", tokens),
        ("in flight", f"{len(statistics.in_flight)} rollouts"),
        (
            "sandbox",
            f"{gauges.slots_used}/{gauges.slots_total} slots, {statistics.isolation or '?'}",
        ),
        ("queue", "none" if gauges.queue is None else f"{gauges.queue} groups"),
        ("lost groups", counts(statistics.groups_lost)),
        ("errors", counts(statistics.errors)),
        ("time", f"{statistics.seconds:.0f} s"),
    ]


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def counts(counter: dict[str, int]) -> str:
    """Render counts by kind, for example `sandbox 2, model_server 1`; `none` when empty."""
    return ", ".join(f"{kind} {n}" for kind, n in sorted(counter.items())) or "none"
