"""Confinement of the slot's first process, before any command runs.

`build_root` makes the minimal root file system of the `namespaces` level (bubblewrap makes its
own); `drop` enters a user namespace of the slot's own, gives up every capability, installs the
system call filter and hides the process from its children. `describe` reports what then really
holds: the host compares it with what was asked for and refuses the slot on any difference.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH102, PTH103, PTH112, PTH115, PTH120, PTH123, PTH208, PTH211

import os
import signal
from typing import Any

from treadle_sandbox.slot import linux, seccomp

INNER_ID = 1000
"""User and group id that commands see."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "fd/0",
    "stdout": "fd/1",
    "stderr": "fd/2",
    "ptmx": "pts/ptmx",
}
_OPTIONS = {
    "nosuid": linux.MS_NOSUID,
    "nodev": linux.MS_NODEV,
    "noexec": linux.MS_NOEXEC,
    "noatime": linux.MS_NOATIME,
    "nodiratime": linux.MS_NODIRATIME,
    "relatime": linux.MS_RELATIME,
}
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
"""How mountinfo writes a path; see proc(5). No codec here: the standard library is out of reach
meanwhile.
"""
_QUIET = linux.MS_NOSUID | linux.MS_NODEV


def build_root(config: "dict[str, Any]") -> None:
    """Replace the root of this mount namespace by a minimal one; nothing else of the host stays
    visible.
    """
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("tmpfs", "/tmp", "tmpfs", _QUIET, "mode=0755,size=1m")
    os.chdir("/tmp")
    os.mkdir("old", 0o755)
    os.mkdir("new", 0o755)
    linux.mount("tmpfs", "new", "tmpfs", _QUIET, "mode=0755,size=4m")
    linux.pivot_root(".", "old")
    os.chdir("/")
    _mount_own(config)
    for source, target in config["binds"]:
        _bind(f"/old{source}", f"/new{target}")
    _set_read_only(tuple(f"/new{target}" for _, target in config["binds"]))
    for link, target in config["links"]:
        _make_folder(os.path.dirname(f"/new{target}"))
        os.symlink(link, f"/new{target}")
    for target, data in config["files"]:
        _write(f"/new{target}", data)
    os.chdir("/new")
    linux.pivot_root(".", ".")
    linux.unmount_lazily(".")
    os.chdir("/")
    linux.mount("none", "/dev", "", linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _QUIET)
    linux.mount("none", "/", "", linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _QUIET)
    linux.set_hostname("sandbox")
    if not config["network"]:
        linux.set_loopback_up()


def _mount_own(config: "dict[str, Any]") -> None:
    for folder in ("proc", "dev", "tmp", config["workdir"].strip("/")):
        _make_folder(f"/new/{folder}")
    linux.mount("proc", "/new/proc", "proc", _QUIET | linux.MS_NOEXEC)
    linux.mount("tmpfs", "/new/dev", "tmpfs", linux.MS_NOSUID, "mode=0755,size=64k")
    for device in _DEVICES:
        _write(f"/new/dev/{device}", b"")
        linux.mount(f"/old/dev/{device}", f"/new/dev/{device}", "", linux.MS_BIND)
    for name, target in _LINKS.items():
        os.symlink(target, f"/new/dev/{name}")
    os.mkdir("/new/dev/pts", 0o755)
    terminals = "newinstance,ptmxmode=0666,mode=620"
    linux.mount("devpts", "/new/dev/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, terminals)
    os.mkdir("/new/dev/shm")
    room = f"size={config['disk_bytes']},nr_inodes={config['files_count']}"
    for folder, mode in (
        ("dev/shm", "1777"),
        ("tmp", "1777"),
        (config["workdir"].strip("/"), "0700"),
    ):
        linux.mount("tmpfs", f"/new/{folder}", "tmpfs", _QUIET, f"mode={mode},{room}")


def _make_folder(path: str) -> None:
    os.makedirs(path, 0o755, exist_ok=True)


def _write(path: str, data: bytes) -> None:
    _make_folder(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(data)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        _make_folder(target)
    else:
        _write(target, b"")
    linux.mount(source, target, "", linux.MS_BIND | linux.MS_REC)


def _set_read_only(folders: "tuple[str, ...]") -> None:
    """Remount the mounts at and below some paths read-only, keeping locked options."""
    with open("/old/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split(" ") for line in file]
    for row in rows:
        target = row[4]
        for code, character in _ESCAPES:
            target = target.replace(code, character)
        if target in folders or target.startswith(tuple(f"{path}/" for path in folders)):
            flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _QUIET
            for option in row[5].split(","):
                flags |= _OPTIONS.get(option, 0)
            linux.mount("none", target, "", flags)


def drop(config: "dict[str, Any]") -> None:
    """Become the slot's own user without any privilege, for good."""
    if config["host_id"]:
        os.chown(config["workdir"], config["host_id"], config["host_id"])
        os.setgroups([])
        os.setresgid(config["host_id"], config["host_id"], config["host_id"])
        os.setresuid(config["host_id"], config["host_id"], config["host_id"])
    if config["new_user"]:
        linux.prctl(linux.PR_SET_DUMPABLE, 1)
        user, group = os.getuid(), os.getgid()
        linux.unshare(linux.CLONE_NEWUSER)
        _put("/proc/self/setgroups", "deny")
        _put("/proc/self/uid_map", f"{INNER_ID} {user} 1")
        _put("/proc/self/gid_map", f"{INNER_ID} {group} 1")
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.drop_capabilities()
    linux.set_seccomp(seccomp.build_filter(os.uname().machine))


def hide() -> None:
    """Keep commands of the same user out of this process: no ptrace, no /proc/PID/fd, no core.

    Also die with the parent again: the kernel forgets that wish when privileges are dropped.
    """
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def _put(path: str, text: str) -> None:
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
    wanted = ("CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp")
    with open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key in wanted:
                facts[key] = value.strip()
    facts["root"] = " ".join(sorted(os.listdir("/")))
    return facts
