"""Where the spans of a rollout's segments lie, and which segment owns which turn.

A fork repeats the spans it shares with its parent, so a turn may be sampled in several segments; it
belongs to the first of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from treadle_agent_loop.model import Segment, SegmentSpan
from treadle_agent_loop.tokens.spans import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A span and the ids it covers in its segment."""

    span: SegmentSpan
    start: int
    end: int
    own: bool
    """Whether its turn belongs to this segment."""

    @property
    def sampled(self) -> bool:
        """Whether the model sampled the ids."""
        return self.span.kind == Provenance.SAMPLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One segment with its spans in place."""

    index: int
    segment: Segment
    spans: tuple[Placed, ...]

    @property
    def own_turns(self) -> tuple[int, ...]:
        """The turns sampled here and in no earlier segment."""
        return tuple(placed.span.turn for placed in self.spans if placed.sampled and placed.own)


def lay_out(segments: Sequence[Segment]) -> list[Layout]:
    """Place every span; a span that reaches past the end is placed as it says."""
    owners: dict[int, int] = {}
    for index, segment in enumerate(segments):
        for span in segment.spans:
            owners.setdefault(span.turn, index)
    return [
        Layout(index=index, segment=segment, spans=_placed(segment, index, owners))
        for index, segment in enumerate(segments)
    ]


def _placed(segment: Segment, index: int, owners: dict[int, int]) -> tuple[Placed, ...]:
    placed: list[Placed] = []
    start = 0
    for span in segment.spans:
        end = start + span.length
        placed.append(Placed(span=span, start=start, end=end, own=owners[span.turn] == index))
        start = end
    return tuple(placed)
