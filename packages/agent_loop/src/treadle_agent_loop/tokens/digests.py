"""Short digests of ids and logprobs, taken when a turn is recorded.

A saved segment is compared with them, so that a file in which an id or a logprob has changed since
is found out. They guard against mistakes and damage, not against somebody who computes them anew.
"""

import hashlib
import struct
from collections.abc import Sequence


def digest_ids(ids: Sequence[int]) -> str:
    """Return a digest of token ids (each a signed 64-bit integer, little-endian)."""
    return _digest(struct.pack(f"<{len(ids)}q", *ids))


def digest_logprobs(logprobs: Sequence[float]) -> str:
    """Return a digest of logprobs (each a double, little-endian)."""
    return _digest(struct.pack(f"<{len(logprobs)}d", *logprobs))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
