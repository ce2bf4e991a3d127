"""The root file system that all slots of a keeper start from, made once in a mount namespace of its
own.

It holds what slots only read: system folders, devices, a few files of /etc. Each slot works in a
copy of that namespace, which copies mounts and no files, and adds what is its own: /proc,
terminals, its folders. Nothing else of the host is in the namespace, so nothing has to be hidden.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH120, PTH123, PTH211

import os
from typing import Any

from treadle_sandbox.slot import linux
from treadle_sandbox.slot.layer import Copy

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
_READ_ONLY = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | _QUIET
NEW = "/new"
"""Where a slot with a root of its own puts it before it turns to it."""


def build(config: "dict[str, Any]") -> None:
    """Replace the root of this mount namespace by the one all slots share."""
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("tmpfs", "/tmp", "tmpfs", _QUIET, "mode=0755,size=1m")
    os.chdir("/tmp")
    os.mkdir("old", 0o755)
    os.mkdir("new", 0o755)
    linux.mount("tmpfs", "new", "tmpfs", _QUIET, "mode=0755,size=4m")
    linux.pivot_root(".", "old")
    os.chdir("/")
    _make_devices()
    for folder in config["folders"]:
        make_folder(f"/new{folder}")
    if config["image"]:
        os.mkdir(f"/new{NEW}", 0o755)
    else:
        _fill(config, "/new")
    os.chdir("/new")
    linux.pivot_root(".", ".")
    linux.unmount_lazily(".")
    os.chdir("/")
    linux.mount("none", "/dev", "", _READ_ONLY)
    linux.mount("none", "/", "", _READ_ONLY)


def _fill(config: "dict[str, Any]", new: str) -> None:
    for source, target in config["binds"]:
        bind(f"/old{source}", f"{new}{target}")
    _set_read_only(tuple(f"{new}{target}" for _, target in config["binds"]))
    for link, target in config["links"]:
        make_folder(os.path.dirname(f"{new}{target}"))
        os.symlink(link, f"{new}{target}")
    for target, data in config["files"]:
        write(f"{new}{target}", data)


def make_skeleton(config: "dict[str, Any]", place: str) -> None:
    """Copy what slots see of /etc below `place`, for slots whose root may change it."""
    for source, target in config["binds"]:
        if target.startswith("/etc/") and os.path.isdir(source):
            make_folder(f"{place}{target}")
            Copy(f"{place}{target}", shift=0).run(source)
        elif target.startswith("/etc/"):
            with open(source, "rb") as file:
                write(f"{place}{target}", file.read())
    for target, data in config["files"]:
        write(f"{place}{target}", data)


def _make_devices() -> None:
    for folder in ("proc", "dev"):
        os.mkdir(f"/new/{folder}", 0o755)
    linux.mount("proc", "/new/proc", "proc", _QUIET | linux.MS_NOEXEC)
    linux.mount("tmpfs", "/new/dev", "tmpfs", linux.MS_NOSUID, "mode=0755,size=64k")
    for device in _DEVICES:
        write(f"/new/dev/{device}", b"")
        linux.mount(f"/old/dev/{device}", f"/new/dev/{device}", "", linux.MS_BIND)
    for name, target in _LINKS.items():
        os.symlink(target, f"/new/dev/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"/new/dev/{name}", 0o755)


def make_folder(path: str) -> None:
    """Make a folder and those above it."""
    os.makedirs(path, 0o755, exist_ok=True)


def write(path: str, data: bytes) -> None:
    """Write a file and make the folders above it."""
    make_folder(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(data)


def make_place(target: str, *, like: str) -> None:
    """Make a folder or an empty file to mount something on."""
    if os.path.isdir(like):
        make_folder(target)
    elif not os.path.exists(target):
        write(target, b"")


def bind(source: str, target: str) -> None:
    """Show a file or folder, with what is mounted below it, at another path."""
    make_place(target, like=source)
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
            flags = _READ_ONLY
            for option in row[5].split(","):
                flags |= _OPTIONS.get(option, 0)
            linux.mount("none", target, "", flags)
