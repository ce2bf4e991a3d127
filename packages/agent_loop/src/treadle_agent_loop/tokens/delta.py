"""What a chat template adds to a conversation after the model's turn, found in the real rendering.

The conversation is rendered with the new messages, and once more with a position mark at their
first word. The last turn-closing token before the mark ends the model's turn; what follows it is
the delta. Where the mark can't be used (the template rearranged the content), the rendering without
the new messages gives the place. Only text is looked at here; ids are the ledger's business.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from treadle_agent_loop.tokens.guard import MARK


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
    ended_by: str | None,
    closers: Collection[str],
) -> Delta | None:
    """Locate the delta, or return None when the rendering doesn't show where the turn ends.

    `begin` is where the model's turn can begin at the earliest in `current` (the length of the
    prompt before it), `ended_by` the control token the model ended its turn with, `closers` those a
    template may end one with.
    """
    end = marked.find(MARK)
    if end < begin or marked.replace(MARK, "", 1) != current:
        before = without_new()
        if not current.startswith(before) or len(before) < begin:
            return None
        end = len(before)
        whole = True
    else:
        whole = False
    region = current[begin:end]
    close = _last(region, {ended_by} if ended_by is not None else ())
    close = close or _last(region, closers)
    if close is not None:
        cut = region.rfind(close)
        after = begin + cut + len(close)
        return Delta(text=current[after:], body=region[:cut], close=close)
    if not whole:
        before = without_new()
        if not current.startswith(before) or len(before) < begin:
            return None
        end = len(before)
    return Delta(text=current[end:], body=current[begin:end], close=None)


def _last(region: str, tokens: Collection[str]) -> str | None:
    """Return which of the tokens stands last in the region."""
    positions = {region.rfind(token): token for token in tokens}
    latest = max(positions, default=-1)
    return positions[latest] if latest >= 0 else None
