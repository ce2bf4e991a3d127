"""What a server tells of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """A server's answer to the question how it is."""

    status: str
    """`ready`, or `draining`: it gives no new leases."""
    slots: int
    leased: int
    """Slots in use, by any client."""
    version: str
    boot: str
    """Tells one run of the server from the next."""
    waiting: int
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseState:
    """A lease in a server's list."""

    id: str
    owner: str
    """The label that its client gave."""
    epoch: int
    """Grows when it is taken over."""
    age: float
    """Seconds since it was given."""
    seconds_left: float | None
    """Until it ends unless it is renewed; `None` without a lifetime."""
    running: int
    """Its calls that run now."""
