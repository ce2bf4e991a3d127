"""How a text is cut into the pieces that a server would stream, and timing with a limit.

Standard library only and shared by every side of the benchmark, so that all are fed and timed
alike: markers arrive whole (they are special tokens), other text in pieces of 3 and 4 characters.
"""

import re
import signal
import time
from collections.abc import Callable, Iterable
from types import FrameType


class TimeLimitError(BaseException):
    """The case ran past its limit; no parser's `except Exception` swallows it."""


def cut(text: str, markers: Iterable[str] = ()) -> list[str]:
    """Cut `text` into its markers, whole, and pieces of 3 and 4 characters."""
    known = sorted({one for one in markers if one}, key=len, reverse=True)
    if not known:
        return _pieces(text)
    found = re.split(f"({'|'.join(map(re.escape, known))})", text)
    deltas: list[str] = []
    for number, part in enumerate(found):
        deltas += [part] if number % 2 else _pieces(part)
    return deltas


def _pieces(text: str) -> list[str]:
    deltas: list[str] = []
    at, size = 0, 3
    while at < len(text):
        deltas.append(text[at : at + size])
        at, size = at + size, 7 - size
    return deltas


def best_time(run: Callable[[], object], *, repeats: int, budget: float) -> float:
    """Return the shortest of up to `repeats` runs; no new run starts after `budget` seconds."""
    times: list[float] = []
    while len(times) < repeats and sum(times) <= budget:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def limited_time(run: Callable[[], object], *, limit: float) -> float | None:
    """Return the shortest of up to three runs, or None when the first ran past `limit` seconds."""

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimitError

    before = signal.signal(signal.SIGALRM, expire)
    times: list[float] = []
    try:
        while len(times) < 3 and sum(times) <= min(limit / 4, 0.3):
            times.append(_alarmed(run, limit))
    except TimeLimitError:
        return min(times, default=None)
    finally:
        signal.signal(signal.SIGALRM, before)
    return min(times)


def _alarmed(run: Callable[[], object], limit: float) -> float:
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return best_time(run, repeats=1, budget=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
