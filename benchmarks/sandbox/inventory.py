"""What is on this machine now that a sandbox could leave behind."""

import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

_LISTENING = "0A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything by name, so that a difference says what was left."""

    processes: frozenset[str]
    mounts: frozenset[str]
    control_groups: frozenset[str]
    ports: frozenset[str]
    folders: frozenset[str]
    descriptors: frozenset[str]

    @classmethod
    def take(cls) -> "Inventory":
        """Look at the machine."""
        return cls(
            processes=frozenset(_processes()),
            mounts=frozenset(_lines("/proc/self/mountinfo")),
            control_groups=frozenset(_groups()),
            ports=frozenset(_ports()),
            folders=frozenset(path.name for path in Path(tempfile.gettempdir()).glob("*treadle*")),
            descriptors=frozenset(_descriptors()),
        )

    def left_since(self, before: "Inventory") -> dict[str, list[str]]:
        """Return by kind what is there now and wasn't before; empty when nothing is."""
        found: dict[str, list[str]] = {}
        for field in fields(self):
            new = getattr(self, field.name) - getattr(before, field.name)
            if new:
                found[field.name] = sorted(new)[:20]
        return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _processes() -> list[str]:
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        words = " ".join(_lines(f"{folder}/cmdline")).replace("\0", " ").strip()
        if words:  # kernel threads and zombies that are about to be reaped have none
            found.append(f"{folder.name} {words[:120]}")
    return found


def _groups() -> list[str]:
    return [
        str(Path(folder) / name)
        for folder, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if "treadle" in name
    ]


def _ports() -> list[str]:
    rows = [line.split() for kind in ("tcp", "tcp6") for line in _lines(f"/proc/net/{kind}")[1:]]
    return [row[1] for row in rows if row[3] == _LISTENING]


def _descriptors() -> list[str]:
    found: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue
        found.append(f"{link.name} {target.partition(':')[0]}")
    return found


def resident_bytes(process: int | str = "self") -> int:
    """Return the resident memory of a process."""
    return int(_lines(f"/proc/{process}/statm")[0].split()[1]) * os.sysconf("SC_PAGE_SIZE")
