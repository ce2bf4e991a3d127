"""Names conversations by what they mean, so that a re-serialised one is recognised."""

import hashlib
from collections.abc import Sequence

from treadle_agent_loop.history import canonical_key
from treadle_agent_loop.model import Message


def chain_digests(messages: Sequence[Message], *, after: bytes = b"") -> list[bytes]:
    """Return one digest per message that stands for the conversation up to and including it.

    Two conversations have the same digest when their messages are canonically equal: call ids,
    trailing space and the spelling of JSON arguments don't count. `after` is the digest of the
    messages before.
    """
    digests: list[bytes] = []
    previous = after
    for message in messages:
        hasher = hashlib.blake2b(previous, digest_size=16)
        for part in canonical_key(message):
            data = part.encode(errors="surrogatepass")
            hasher.update(len(data).to_bytes(8) + data)
        previous = hasher.digest()
        digests.append(previous)
    return digests


def text_digest(text: str) -> bytes:
    """Return a digest of a rendered prompt."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
