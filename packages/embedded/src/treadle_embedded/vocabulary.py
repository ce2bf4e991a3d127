"""The bundled tokenizer: text to ids, and ids back to bytes one at a time.

Encoding reads markers such as `<|im_end|>` in a text as their tokens, as Hugging Face tokenizers
do. Decoding is incremental: a character whose bytes are spread over tokens appears with its last
byte, and a byte that belongs to no character becomes U+FFFD.
"""

import codecs
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from treadle_embedded.errors import BundleError, RequestError


class Vocabulary:
    """The tokens of one bundle."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        try:
            source = path.read_text(encoding="utf-8")
        except OSError as error:
            raise BundleError(
                f"can't read {path}: {error.strerror}; reinstall the package"
            ) from error
        self._tokenizer = Tokenizer.from_str(source)
        added: list[dict[str, Any]] = json.loads(source)["added_tokens"]
        self.special = frozenset(int(token["id"]) for token in added if token["special"])
        """Ids of the turn markers; decoding skips them unless told otherwise."""
        literal = {int(token["id"]): str(token["content"]) for token in added}
        alphabet = _byte_alphabet()
        self._bytes = [
            literal[index].encode()
            if index in literal
            else bytes(alphabet[character] for character in self._piece(index))
            for index in range(self._tokenizer.get_vocab_size())
        ]

    def __len__(self) -> int:
        return len(self._bytes)

    def encode(self, text: str) -> list[int]:
        """Encode a text; markers in it become their tokens.

        Raises:
            RequestError: the text holds half of a surrogate pair.
        """
        try:
            return self._tokenizer.encode(text).ids
        except (UnicodeEncodeError, TypeError) as error:
            raise RequestError(
                "the text holds half of a surrogate pair, which is no character"
            ) from error

    def id_of(self, token: str) -> int:
        """Return the id of a token by its text. Raises: BundleError."""
        index = self._tokenizer.token_to_id(token)
        if index is None:
            raise BundleError(
                f"the tokenizer has no token {token!r}; the bundle is another model's"
            )
        return index

    def bytes_of(self, index: int) -> bytes:
        """Return the bytes that a token stands for."""
        return self._bytes[index]

    def text_of(self, index: int) -> str:
        """Return a token's text; bytes that are no whole character become U+FFFD."""
        return self._bytes[index].decode("utf-8", errors="replace")

    def decoder(self, *, skip_special: bool = True) -> "TextDecoder":
        """Begin to decode one sequence."""
        return TextDecoder(self, skip_special=skip_special)

    def _piece(self, index: int) -> str:
        piece = self._tokenizer.id_to_token(index)
        if piece is None:
            raise BundleError(f"the tokenizer has no token {index}; its ids must have no gaps")
        return piece


class TextDecoder:
    """Decodes one sequence, token by token."""

    def __init__(self, vocabulary: Vocabulary, *, skip_special: bool) -> None:
        self._vocabulary, self._skip_special = vocabulary, skip_special
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, index: int) -> str:
        """Return the characters that this token completes."""
        if self._skip_special and index in self._vocabulary.special:
            return ""
        return self._utf8.decode(self._vocabulary.bytes_of(index))

    def close(self) -> str:
        """Return U+FFFD for a character that was never finished."""
        return self._utf8.decode(b"", final=True)


def _byte_alphabet() -> dict[str, int]:
    """Map the characters of byte-level BPE to bytes (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(256 + index): byte for index, byte in enumerate(others)}
