"""A broken promise of the token ledger, as a value."""

from dataclasses import dataclass
from enum import StrEnum


class Promise(StrEnum):
    """What a saved rollout is held to."""

    RECORD = "record"
    """The line is a rollout with all its fields."""
    PREFIX = "prefix"
    """A segment is what was sent and sampled, id for id; a fork begins as its parent does."""
    PROVENANCE = "provenance"
    """Every id is rendered, sampled or a synthesised close; trained are sampled ones alone."""
    CONSERVATION = "conservation"
    """Sampled ids are the trained and the dropped ones; each turn is in one segment."""
    DELTA = "delta"
    """Soft boundaries, closes and rewrites are as many as were counted."""
    INJECTION = "injection"
    """Tool results wrote no control tokens."""
    EVIDENCE = "evidence"
    """Every trained id has a finite logprob of at most 0 that is no clamp value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One broken promise."""

    promise: Promise
    what: str
    """What was found, with the place and the value."""
