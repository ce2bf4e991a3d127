"""Compares a saved rollout's ids with its messages, through the tokenizer.

What a turn sampled must hold the text that was recorded of it, and tool results must not have
written control tokens. How far a turn is from the chat template's own writing is measured and
counted, as the ledger does when it runs; the tool schemas aren't saved, so a rendering that needs
them isn't reproduced, and such turns are counted as not comparable.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from treadle_agent_loop.errors import ChatTemplateError
from treadle_agent_loop.history import content_text, reasoning_of
from treadle_agent_loop.model import Message
from treadle_agent_loop.proof.breach import Breach, Promise
from treadle_agent_loop.proof.layout import Layout, Placed, lay_out
from treadle_agent_loop.proof.saved import SavedRollout
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.divergence import Divergence, classify
from treadle_agent_loop.tokens.guard import unguard
from treadle_agent_loop.tokens.spans import Origin, Provenance


class TextProof:
    """Checks rollouts against one tokenizer and keeps count of what it compared."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self.turns = 0
        """Turns whose text was compared with the recorded message."""
        self.measured = 0
        """Of those, turns that the template's own writing could be set beside."""
        self.divergences: Counter[str] = Counter()

    def check(self, rollout: SavedRollout) -> Iterator[Breach]:
        """Yield every broken promise; expects a rollout in which `check_tokens` found nothing."""
        for layout in _of_saved_conversation(lay_out(rollout.segments)):
            for placed in layout.spans:
                index = placed.span.message
                if not (placed.sampled and placed.own) or index >= len(rollout.messages):
                    continue
                message = rollout.messages[index]
                if message.get("role") == "assistant":
                    self.turns += 1
                    ids = layout.segment.tokens[placed.start : placed.end]
                    yield from self._turn(rollout, placed, ids, message)
            yield from self._injections(rollout, layout)

    def _turn(
        self, rollout: SavedRollout, placed: Placed, ids: tuple[int, ...], message: Message
    ) -> Iterator[Breach]:
        control = self._tokenizer.control_text(ids[-1]) if ids else None
        said = ids[:-1] if control is not None else ids
        text = self._tokenizer.decode(said)
        parts = {
            "content": content_text(message.get("content")),
            "reasoning": reasoning_of(message),
        }
        whole = not (message.get("tool_calls") or parts["reasoning"])
        for name, part in parts.items():
            if not _holds(text, part, whole=whole):
                what = f"turn {placed.span.turn} sampled {_short(text)}, not its {name}"
                yield Breach(promise=Promise.PROVENANCE, what=f"{what} {_short(part)}")
        if control not in self._tokenizer.closers:
            self.divergences[Divergence.EOS] += 1
        body = self._body(rollout.messages[: placed.span.message + 1])
        if body is None:
            return
        self.measured += 1
        difference = classify(text, unguard(body), has_calls=bool(message.get("tool_calls")))
        if difference is None and self._tokenizer.encode(body) != said:
            difference = Divergence.BPE
        if difference is not None:
            self.divergences[difference] += 1

    def _body(self, messages: tuple[Message, ...]) -> str | None:
        """Return the template's writing of the last message, or None where it can't be told."""
        tokenizer = self._tokenizer
        try:
            prompt = tokenizer.render(messages[:-1], generation_prompt=True)
            text = tokenizer.render(messages, generation_prompt=False)
        except ChatTemplateError:
            return None
        if not text.startswith(prompt):
            return None
        body = text[len(prompt) :]
        ends = [body.rfind(close) for close in tokenizer.closers if close in body]
        return body[: max(ends)] if ends else body.removesuffix(tokenizer.turn_tail)

    def _injections(self, rollout: SavedRollout, layout: Layout) -> Iterator[Breach]:
        """Look for control tokens in renderings of tool results that the template didn't write."""
        for before, placed in pairwise(layout.spans):
            first, last = placed.span.message, _next_answer(layout, placed)
            results = rollout.messages[first:last]
            rendered = placed.span.kind == Provenance.RENDERED and placed.own
            if not rendered or not results or any(_role(entry) != "tool" for entry in results):
                continue
            suspects = self._markers_in(results)
            expected = self._controls(rollout.messages[:last]) if suspects else None
            if expected is None:
                continue
            expected.subtract(self._controls(rollout.messages[:first], prompt=False) or Counter())
            ids = layout.segment.tokens[placed.start : placed.end]
            found = Counter(ids)
            for text in suspects:
                index = self._tokenizer.id_of(text)
                if found[index] > max(expected[index], 0):
                    what = f"segment {layout.index}: a tool result after turn {before.span.turn}"
                    yield Breach(promise=Promise.INJECTION, what=f"{what} wrote {text!r}")

    def _markers_in(self, results: tuple[Message, ...]) -> list[str]:
        texts = [content_text(entry.get("content")) for entry in results]
        return [mark for mark in self._tokenizer.control if any(mark in text for text in texts)]

    def _controls(
        self, messages: tuple[Message, ...], *, prompt: bool = True
    ) -> Counter[int] | None:
        try:
            text = self._tokenizer.render(messages, generation_prompt=prompt)
        except ChatTemplateError:
            return None
        return Counter(self._tokenizer.encode(text))


def _of_saved_conversation(layouts: Sequence[Layout]) -> list[Layout]:
    """Return the segments of the conversation that was saved: the last one and its ancestors, back
    to where its history begins. Those of conversations before a compaction aren't among them.
    """
    found: list[Layout] = []
    index: int | None = len(layouts) - 1 if layouts else None
    while index is not None:
        segment = layouts[index].segment
        found.insert(0, layouts[index])
        index = segment.parent if segment.origin in (Origin.FORK, Origin.REWRITE) else None
    return found


def _next_answer(layout: Layout, placed: Placed) -> int:
    turn = placed.span.turn
    return next(
        other.span.message for other in layout.spans if other.sampled and other.span.turn == turn
    )


def _role(message: Message) -> str:
    return str(message.get("role"))


def _holds(text: str, part: str, *, whole: bool) -> bool:
    """Whether a text holds a part, spaces aside: in one piece, or in order around tool calls."""
    text, part = "".join(text.split()), "".join(part.split())
    if whole:
        return part in text
    rest = iter(text)
    return all(character in rest for character in part)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
