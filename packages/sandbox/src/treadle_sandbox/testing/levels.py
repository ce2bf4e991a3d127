"""Local backends at one exact isolation level, for tests that must hold at each of them."""

from typing import Any

from treadle_sandbox.local import LocalBackend
from treadle_sandbox.records import Isolation, Limits

LIMITS = Limits(memory_bytes=1 << 30, disk_bytes=32 << 20, processes=64)


def other_levels(level: Isolation) -> list[Isolation]:
    """Return every level but this one."""
    return [other for other in Isolation if other is not level]


def backend_at(level: Isolation, **options: Any) -> LocalBackend:
    """Return a backend that takes this level or none; eight slots and small limits by default.

    Raises on entering:
        IsolationUnavailableError: this machine doesn't offer the level.
    """
    settings: dict[str, Any] = {"slots": 8, "limits": LIMITS, **options}
    return LocalBackend(min_isolation="auto", exclude=other_levels(level), **settings)
