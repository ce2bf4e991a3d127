"""Who commands of a slot may be, and with which capabilities, as numbers.

Capabilities: linux/capability.h.
"""

USER, VERIFIER, ROOT = 1000, 1001, 0
"""User and group ids that commands see."""
RANGE = 65_536
"""Ids of one slot."""

_CHOWN, _DAC_OVERRIDE, _FOWNER, _FSETID, _KILL = 0, 1, 3, 4, 5
_SETGID, _SETUID = 6, 7
SERVING = (_KILL, _SETGID, _SETUID)
"""Capabilities that the first process uses itself."""
VERIFYING = (_DAC_OVERRIDE,)
"""What a command of the verifier has."""
INSTALLING = (_CHOWN, _DAC_OVERRIDE, _FOWNER, _FSETID, *SERVING)
"""What a command of the slot's root has: enough for package installs."""


def mask(capabilities: "tuple[int, ...]") -> int:
    """Return a set of capabilities as the number that /proc shows."""
    return sum(1 << number for number in set(capabilities))


def kept(*, allow_root: bool) -> "tuple[int, ...]":
    """Return what the first process of a slot with an id range keeps."""
    return INSTALLING if allow_root else (*SERVING, *VERIFYING)
