"""One answer as text: tokens decoded while they come, cut at the first stop string.

Text that may be the beginning of a stop string is held back until that is settled, so what was
yielded is never retracted. A stop string ends the answer: its text is cut off, its tokens stay
(their ids and logprobs are what the model really wrote).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from treadle_embedded.engine import FinishReason
from treadle_embedded.model import EmbeddedModel
from treadle_embedded.sampling import Sampled, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A step of an answer."""

    text: str
    """Characters that are certain now; may be empty."""
    tokens: tuple[Sampled, ...]
    finish: FinishReason | None = None
    """Set on the last piece."""
    stop: str | int | None = None
    """The stop string or the asked-for stop id that ended it; None for the end of the turn."""


class StopWatch:
    """Looks for stop strings in text that arrives in pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""

    def feed(self, text: str) -> tuple[str, str | None]:
        """Take more text; return what is certain and the stop string that was found."""
        self._held += text
        found = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            at, stop = min(found)
            certain, self._held = self._held[:at], ""
            return certain, stop
        keep = self._pending()
        certain, self._held = (
            self._held[: len(self._held) - keep],
            self._held[len(self._held) - keep :],
        )
        return certain, None

    def close(self) -> str:
        """Return what was held back."""
        rest, self._held = self._held, ""
        return rest

    def _pending(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0


async def answer(
    model: EmbeddedModel,
    prompt: list[int],
    sampling: Sampling,
    *,
    stops: Sequence[str] = (),
    skip_special: bool = True,
) -> AsyncGenerator[Piece, None]:
    """Yield an answer piece by piece, the last one with `finish`.

    Raises as `EmbeddedModel.generate`.
    """
    decoder, watch = model.vocabulary.decoder(skip_special=skip_special), StopWatch(stops)
    last = 0
    async with aclosing(model.generate(prompt, sampling)) as outcomes:
        async for outcome in outcomes:
            if isinstance(outcome, FinishReason):
                certain, stop = watch.feed(decoder.close())
                text = certain if stop else certain + watch.close()
                ended: str | int | None = stop
                if outcome is FinishReason.STOP and last != model.end_of_turn:
                    ended = last
                reason = FinishReason.STOP if stop else outcome
                yield Piece(text=text, tokens=(), finish=reason, stop=ended)
                return
            last = outcome.token
            if last in sampling.stop_ids:
                yield Piece(text="", tokens=(outcome,))
                continue
            text, stop = watch.feed(decoder.feed(last))
            finish = FinishReason.STOP if stop else None
            yield Piece(text=text, tokens=(outcome,), finish=finish, stop=stop)
            if stop:
                return
