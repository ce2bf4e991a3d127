"""Finds the turn that a conversation goes on from: by its messages, or by its ids.

By messages, the longest known beginning wins, whatever a scaffold did to its spelling. Of several
turns that mean the same, the one with the same reasoning wins, then one that nothing goes on from
yet, then the latest. By ids, it is the turn whose whole sequence begins the template's rendering:
that finds a turn whose message came back in another shape (reasoning inside the content, say).
"""

from collections.abc import Callable, Sequence

from treadle_agent_loop.tokens.spans import Context, Turn


class KnownTurns:
    """The answered turns of one rollout."""

    def __init__(self) -> None:
        self._by_digest: dict[bytes, list[Turn]] = {}
        self._turns: list[Turn] = []

    def add(self, digest: bytes, turn: Turn) -> None:
        """Remember a turn by the digest of its conversation, the answer included."""
        self._by_digest.setdefault(digest, []).append(turn)
        self._turns.append(turn)

    def by_messages(
        self,
        digests: Sequence[bytes],
        contexts: Sequence[Context],
        reasoning: Callable[[int], str],
    ) -> Turn | None:
        """Return the best turn of the longest known beginning of a conversation.

        `reasoning` returns the guarded reasoning of the message at a place.
        """
        for place in reversed(range(len(digests))):
            found = self._by_digest.get(digests[place])
            if found is None:
                continue
            if len(found) == 1:
                return found[0]
            said = reasoning(place)
            return max(
                found,
                key=lambda turn: (turn.reasoning == said, _is_last(turn, contexts), turn.call),
            )
        return None

    def by_ids(
        self, ids: Sequence[int], contexts: Sequence[Context], *, messages: int
    ) -> Turn | None:
        """Return the turn with the longest sequence that `ids` begin with.

        Only turns of conversations with at most as many messages count, and of turns with equal
        sequences the last.
        """
        best, longest = None, 0
        for turn in self._turns:
            if turn.messages > messages:
                continue
            spans = contexts[turn.context].spans[: turn.spans]
            length = sum(len(span.ids) for span in spans)
            if length < longest or length > len(ids):
                continue
            place = 0
            for span in spans:
                if tuple(ids[place : place + len(span.ids)]) != span.ids:
                    break
                place += len(span.ids)
            else:
                best, longest = turn, length
        return best


def _is_last(turn: Turn, contexts: Sequence[Context]) -> bool:
    return turn.spans == len(contexts[turn.context].spans)
