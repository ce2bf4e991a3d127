"""What a chat template adds to a conversation after the model's turn, found in the real rendering.

The conversation is rendered with the new messages, and once more with a position mark at their
first word. The last turn-closing token before the mark ends the model's turn; what follows it is
the delta. Where the mark can't be used (the template rearranged the content), the rendering without
the new messages gives the place. Only text is looked at here; ids are the ledger's business.

Mostly one rendering is enough: where a single turn-closing token stands between the prompt before
and the new message's content, that token ends the turn, and `quick_delta` says so.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from treadle_agent_loop.tokens.guard import MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the model ended its turn."""

    control: str | None
    """The control token it ended with, if any."""
    text: str
    """The last characters it wrote before that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The text between the end of the model's turn and the end of the next prompt."""

    text: str
    """Guarded; begins right after the turn's close."""
    body: str
    """The model's turn as the template writes it, without its close; guarded."""
    close: str | None
    """The control token that ends the turn in the rendering, if there is one."""


def find_delta(
    *,
    current: str,
    marked: str,
    without_new: Callable[[], str],
    begin: int,
    ending: Ending,
    closers: Collection[str],
    turn_tail: str,
) -> Delta | None:
    """Locate the delta, or return None when the rendering doesn't show where the turn ends.

    `begin` is where the model's turn can begin at the earliest in `current` (the length of the
    prompt before it), `closers` are the control tokens a template may end a turn with, and
    `turn_tail` is the plain text it ends one with where it uses none.
    """
    end = marked.find(MARK)
    if end < begin or marked.replace(MARK, "", 1) != current:
        end = _common_end(current, without_new(), begin)
        if end is None:
            return None
    region = current[begin:end]
    close = _last(region, {ending.control} if ending.control is not None else ())
    close = close or _last(region, closers)
    if close is not None:
        cut = region.rfind(close)
        return Delta(
            text=region[cut + len(close) :] + current[end:], body=region[:cut], close=close
        )
    end = _common_end(current, without_new(), begin)
    if end is None:
        return None
    tail = turn_tail if current[begin:end].endswith(turn_tail) else ""
    cut = end - len(tail)
    written = max(k for k in range(len(tail) + 1) if ending.text.endswith(tail[:k]))
    return Delta(text=current[cut + written :], body=current[begin:cut], close=None)


def quick_delta(
    *,
    current: str,
    content: str,
    calls: int,
    begin: int,
    ending: Ending,
    closers: Collection[str],
) -> Delta | None:
    """Locate the delta without another rendering, or return None where that isn't certain.

    `content` is the first new message's (guarded), `calls` the tool calls of the turn; a turn with
    several may be closed after each of them.
    """
    words = content.strip()
    if not words or calls > 1:
        return None
    marks = {*closers, ending.control} if ending.control is not None else set(closers)
    starts = {current.find(mark, begin): mark for mark in marks}
    starts.pop(-1, None)
    if not starts:
        return None
    cut = min(starts)
    close = starts[cut]
    after = cut + len(close)
    place = current.find(words, after)
    if place < 0 or current.find(words, place + 1) >= 0:
        return None
    if any(current.find(mark, after, place) >= 0 for mark in marks):
        return None
    return Delta(text=current[after:], body=current[begin:cut], close=close)


def _common_end(current: str, before: str, begin: int) -> int | None:
    return len(before) if current.startswith(before) and len(before) >= begin else None


def _last(region: str, tokens: Collection[str]) -> str | None:
    """Return which of the tokens stands last in the region."""
    positions = {region.rfind(token): token for token in tokens}
    latest = max(positions, default=-1)
    return positions[latest] if latest >= 0 else None
