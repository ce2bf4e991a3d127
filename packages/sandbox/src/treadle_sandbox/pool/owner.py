"""Labels that tell whose a lease is: which driver process, of which machine.

A driver of the same machine whose process is gone is known to be dead at once; of others only the
lifetime of their leases tells.
"""

import os
import secrets
from pathlib import Path

_PROC = Path("/proc")


def make_owner() -> str:
    """Return a label for this process, unique for each call."""
    return f"{_machine()}:{os.getpid()}:{start_time(os.getpid())}:{secrets.token_hex(4)}"


def owner_is_dead(label: str) -> bool:
    """Return whether the label's process was one of this machine and is gone."""
    parts = label.split(":")
    if len(parts) != 4 or not parts[0] or parts[0] != _machine() or not parts[1].isdecimal():
        return False
    return start_time(int(parts[1])) != parts[2]


def _machine() -> str:
    """Return the name of this run of the kernel and of this process namespace."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        space = (_PROC / "self/ns/pid").readlink().name
    except OSError:
        return ""
    return f"{boot}/{''.join(filter(str.isdecimal, space))}"


def start_time(process: int) -> str:
    """Return when a process began, in the kernel's ticks; empty when it is gone or a zombie."""
    try:
        text = (_PROC / str(process) / "stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
