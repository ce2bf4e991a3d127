"""Capabilities and ids: what the slot's first process keeps, and how a command becomes a user.

In a slot with an id range, the first process serves as the ordinary user and keeps a few
capabilities of the slot's own user namespace: enough to start commands as another user of the slot
and to end them. Commands of the ordinary user get none of them, because a program that isn't run by
root starts without. They reach no file or process outside the range.
"""

import os

from treadle_sandbox.slot import linux
from treadle_sandbox.slot.grants import ROOT, SERVING, USER, VERIFIER, VERIFYING, mask


def serve_as_user(capabilities: "tuple[int, ...]") -> None:
    """Become the ordinary user of this user namespace and keep only these capabilities."""
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.drop_bounding(frozenset(capabilities))
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    linux.prctl(linux.PR_SET_KEEPCAPS, 1)
    os.setresuid(USER, USER, USER)
    linux.prctl(linux.PR_SET_KEEPCAPS, 0)
    linux.set_capabilities(mask(SERVING), mask(capabilities), 0)


def become(name: str) -> None:
    """Become `user`, `verifier` or `root` of the slot, between fork and exec of a command.

    The level must have that user: see `users` of the slot's configuration. A verifier keeps the
    right to read and write all files of the slot's own range; root keeps what installs need.
    """
    if name == "user":
        return
    if name == "root":
        os.setresgid(ROOT, ROOT, ROOT)
        os.setresuid(ROOT, ROOT, ROOT)
        return
    os.setresgid(VERIFIER, VERIFIER, VERIFIER)
    os.setresuid(VERIFIER, VERIFIER, VERIFIER)
    wanted = mask(VERIFYING)
    linux.set_capabilities(wanted, wanted, wanted)
    for number in VERIFYING:
        linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_RAISE, number)
