"""Confinement of the slot's first process, before any command runs.

`drop` gives up what built the slot and installs the system call filter; `hide` keeps commands out
of the process. `describe` reports what then really holds: the host compares it with what was asked
for and refuses the slot on any difference.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH115, PTH208

import os
import signal
from typing import Any

from treadle_sandbox.slot import linux, seccomp

INNER_ID = 1000
"""User and group id that commands see."""


def drop(config: "dict[str, Any]") -> None:
    """Become the slot's own user without any privilege, for good."""
    if config["host_id"]:
        os.chown(config["workdir"], config["host_id"], config["host_id"])
        os.setgroups([])
        os.setresgid(config["host_id"], config["host_id"], config["host_id"])
        os.setresuid(config["host_id"], config["host_id"], config["host_id"])
    if config["new_user"]:
        enter_user(INNER_ID)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.drop_capabilities()
    filter_calls()


def enter_user(inner: int) -> None:
    """Enter a new user namespace in which this process's only id is `inner`."""
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    user, group = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER)
    put("/proc/self/setgroups", "deny")
    put("/proc/self/uid_map", f"{inner} {user} 1")
    put("/proc/self/gid_map", f"{inner} {group} 1")


def filter_calls() -> None:
    """Install the system call filter."""
    linux.set_seccomp(seccomp.build_filter(os.uname().machine))


def hide() -> None:
    """Keep commands of the same user out of this process: no ptrace, no /proc/PID/fd, no core.

    Also die with the parent again: the kernel forgets that wish when privileges are dropped.
    """
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def put(path: str, text: str) -> None:
    """Write a file of /proc in one call."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def describe() -> "dict[str, str]":
    """Return the namespaces, ids and privileges of this process as the kernel tells them."""
    facts = {"pid": str(os.getpid()), "uid": str(os.getuid()), "gid": str(os.getgid())}
    for name in ("user", "pid", "mnt", "ipc", "uts", "net"):
        facts[f"ns_{name}"] = os.readlink(f"/proc/self/ns/{name}")
    wanted = ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd", "NoNewPrivs", "Seccomp")
    descriptor = os.open("/proc/self/status", os.O_RDONLY)
    for line in os.read(descriptor, 1 << 16).decode("ascii", "replace").splitlines():
        key, _, value = line.partition(":")
        if key in wanted:
            facts[key] = value.strip()
    os.close(descriptor)
    facts["root"] = " ".join(sorted(os.listdir("/")))
    return facts


def report() -> bytes:
    """Return `describe` as the greeting of a slot."""
    return "\n".join(f"{key}={value}" for key, value in describe().items()).encode()
