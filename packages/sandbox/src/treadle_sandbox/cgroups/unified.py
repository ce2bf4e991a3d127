"""The hierarchy of version 2.

A group that holds processes can't give controllers to groups below it, except the system's topmost
one. Where this process's own group is in the way, and holds nobody but this process, its parents
and its children, they move into a leaf of it and `close` moves them back. Nothing outside of the
own group is touched, which is what systemd's `Delegate=yes` asks for.
"""

import contextlib
import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from treadle_sandbox.cgroups.base import PERIOD, Bounds, Controller, list_processes, write
from treadle_sandbox.cgroups.places import Place

LEAF = "treadle-host"
_PARENT = 1
"""Place of the parent's process id in /proc/PID/stat, counted after the name of the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnifiedTree:
    """The one tree of version 2."""

    folder: Path
    controllers: frozenset[Controller]
    enabled: frozenset[Controller] = field(default=frozenset())
    """Those that opening the tree switched on for groups below `folder`."""
    reason: str = ""
    """Why a controller that exists isn't there; empty when all are."""

    @classmethod
    def open(cls, place: Place) -> "UnifiedTree":
        """Return the tree at a place, with every controller that can be had.

        Raises:
            OSError: the group isn't there or can't be read.
        """
        folder = place.folder.parent if place.folder.name == LEAF else place.folder
        offered = _read_names(folder / "cgroup.controllers")
        active = _read_names(folder / "cgroup.subtree_control")
        missing, reason = offered - active, ""
        if offered != frozenset(Controller):
            names = ", ".join(sorted(frozenset(Controller) - offered))
            reason = f"{folder} has no {names}"
        try:
            if missing:
                _enable(folder, missing)
        except OSError as error:
            missing = frozenset[Controller]()
            reason = f"{folder} gives its groups no controllers: {error.strerror}"
        return cls(folder=folder, controllers=active | missing, enabled=missing, reason=reason)

    def prepare(self, parent: Path) -> None:
        """Make the group that will hold the groups of the slots."""
        parent.mkdir()
        if self.controllers:
            write(parent / "cgroup.subtree_control", _signed("+", self.controllers))

    def bound(self, group: Path, bounds: Bounds) -> None:
        """Write the limits that this tree has controllers for."""
        if Controller.MEMORY in self.controllers and bounds.memory_bytes is not None:
            write(group / "memory.max", str(bounds.memory_bytes))
            # Absent where the kernel doesn't count swapped memory.
            with contextlib.suppress(FileNotFoundError):
                write(group / "memory.swap.max", "0")
        if Controller.PIDS in self.controllers and bounds.processes is not None:
            write(group / "pids.max", str(bounds.processes))
        if Controller.CPU in self.controllers and bounds.cpus is not None:
            write(group / "cpu.max", f"{bounds.quota} {PERIOD}")

    def kill(self, group: Path) -> bool:
        """Kill everything in a group at once; False before Linux 5.14."""
        try:
            write(group / "cgroup.kill", "1")
        except FileNotFoundError:
            return not group.exists()
        return True

    def hold(self, group: Path, *, still: bool) -> None:
        """Freeze or thaw a group."""
        with contextlib.suppress(FileNotFoundError):
            write(group / "cgroup.freeze", "1" if still else "0")

    def out_of_memory_file(self, group: Path) -> Path | None:
        """Return the file with the counter `oom_kill`."""
        return group / "memory.events" if Controller.MEMORY in self.controllers else None

    def close(self) -> None:
        """Switch off what was switched on and move back, unless another backend needs it."""
        leaf = self.folder / LEAF
        groups = [path.name for path in self.folder.glob("treadle-*") if path != leaf]
        if groups or not self.enabled:
            return
        with contextlib.suppress(OSError):
            write(self.folder / "cgroup.subtree_control", _signed("-", self.enabled))
            _move(list_processes(leaf), self.folder)
            leaf.rmdir()


def _read_names(path: Path) -> frozenset[Controller]:
    words = path.read_text(encoding="ascii").split()
    return frozenset(name for name in Controller if name in words)


def _signed(sign: str, names: frozenset[Controller]) -> str:
    return " ".join(f"{sign}{name}" for name in sorted(names))


def _enable(folder: Path, names: frozenset[Controller]) -> None:
    switch = folder / "cgroup.subtree_control"
    try:
        write(switch, _signed("+", names))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        here = list_processes(folder)
        strangers = set(here) - _family()
        if strangers:
            raise OSError(
                errno.EBUSY,
                f"processes of others are in the same group ({len(strangers)}); start this program "
                "in a scope of its own: systemd-run --user --scope -p Delegate=yes ...",
            ) from error
        (folder / LEAF).mkdir(exist_ok=True)
        _move(here, folder / LEAF)
        write(switch, _signed("+", names))


def _move(processes: tuple[int, ...], group: Path) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            write(group / "cgroup.procs", str(process))


def _family() -> set[int]:
    """Return this process, its ancestors and its descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                parents[int(entry.name)] = int(text.rpartition(")")[2].split()[_PARENT])
    own = os.getpid()
    found, place = {own}, own
    while (place := parents.get(place, 0)) > 0:
        found.add(place)
    below = [own]
    for process in below:
        below += [child for child, parent in parents.items() if parent == process]
    return found | set(below)
