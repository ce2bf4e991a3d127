"""Encodes guarded text: markers the template wrote become their ids, broken ones become plain text.

The tokenizer itself finds the template's markers. Pieces of text that hold a broken marker are
encoded again by a copy of the tokenizer that doesn't know those markers, made when it is first
needed. If even that produced a marker's id, the piece is encoded character by character, which
can't.
"""

import json
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

from treadle_agent_loop.tokens.guard import LEAD, unguard


class GuardedEncoder:
    """Turns guarded text into ids with one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, markers: Collection[str]) -> None:
        """`markers` are the added tokens that content must never write."""
        self._tokenizer = tokenizer
        self._added = _added_ids(tokenizer)
        self._markers = frozenset(markers)
        self._marker_ids = frozenset(self._added[text] for text in self._markers)

    def encode(self, guarded: str) -> tuple[int, ...]:
        """Return the ids of a guarded text; nothing is added at its ends."""
        encoding = self._tokenizer.encode(guarded, add_special_tokens=False)
        if LEAD not in guarded:
            return tuple(encoding.ids)
        added = frozenset(self._added.values())
        ids: list[int] = []
        piece: list[int] = []
        start = 0
        for index, (left, right) in zip(encoding.ids, encoding.offsets, strict=True):
            if index not in added:
                piece.append(index)
                continue
            ids += self._piece(guarded[start:left], piece)
            ids.append(index)
            piece, start = [], right
        ids += self._piece(guarded[start:], piece)
        return tuple(ids)

    def _piece(self, guarded: str, encoded: list[int]) -> list[int]:
        if LEAD not in guarded:
            return encoded
        text = unguard(guarded)
        ids = self._plain.encode(text, add_special_tokens=False).ids
        if not self._marker_ids.isdisjoint(ids):
            ids = [
                index
                for character in text
                for index in self._plain.encode(character, add_special_tokens=False).ids
            ]
        return ids

    @cached_property
    def _plain(self) -> Tokenizer:
        """The tokenizer without the markers."""
        definition: dict[str, Any] = json.loads(self._tokenizer.to_str())
        definition["added_tokens"] = [
            token for token in definition["added_tokens"] if token["content"] not in self._markers
        ]
        definition["post_processor"] = None
        return Tokenizer.from_str(json.dumps(definition))


def _added_ids(tokenizer: Tokenizer) -> Mapping[str, int]:
    decoder: dict[int, Any] = tokenizer.get_added_tokens_decoder()
    return {str(token.content): index for index, token in decoder.items()}
