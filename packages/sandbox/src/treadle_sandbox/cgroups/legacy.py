"""A hierarchy of version 1: controllers mounted on their own or in pairs."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from treadle_sandbox.cgroups.base import PERIOD, Bounds, Controller, write
from treadle_sandbox.cgroups.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyTree:
    """The controllers of one mount of version 1."""

    folder: Path
    controllers: frozenset[Controller]
    freezes: bool
    """Whether the freezer is bound to it."""

    @classmethod
    def open(cls, place: Place) -> "LegacyTree":
        """Return the tree at a place."""
        known = frozenset(name for name in Controller if name in place.controllers)
        freezes = "freezer" in place.controllers
        return cls(folder=place.folder, controllers=known, freezes=freezes)

    def prepare(self, parent: Path) -> None:
        """Make the group that will hold the groups of the slots."""
        parent.mkdir()
        if Controller.MEMORY in self.controllers:
            # Only kernels before 5.11 have groups whose parents don't count them.
            with contextlib.suppress(OSError):
                write(parent / "memory.use_hierarchy", "1")

    def bound(self, group: Path, bounds: Bounds) -> None:
        """Write the limits that this tree has controllers for."""
        if Controller.MEMORY in self.controllers and bounds.memory_bytes is not None:
            write(group / "memory.limit_in_bytes", str(bounds.memory_bytes))
            # Absent where the kernel doesn't count swapped memory.
            with contextlib.suppress(FileNotFoundError):
                write(group / "memory.memsw.limit_in_bytes", str(bounds.memory_bytes))
        if Controller.PIDS in self.controllers and bounds.processes is not None:
            write(group / "pids.max", str(bounds.processes))
        if Controller.CPU in self.controllers and bounds.cpus is not None:
            write(group / "cpu.cfs_period_us", str(PERIOD))
            write(group / "cpu.cfs_quota_us", str(bounds.quota))

    def kill(self, group: Path) -> bool:
        """Return False: version 1 has no such order."""
        return False

    def hold(self, group: Path, *, still: bool) -> None:
        """Freeze or thaw a group, and let it have no more processes."""
        with contextlib.suppress(FileNotFoundError):
            if self.freezes:
                write(group / "freezer.state", "FROZEN" if still else "THAWED")
            if Controller.PIDS in self.controllers and still:
                write(group / "pids.max", "0")

    def out_of_memory_file(self, group: Path) -> Path | None:
        """Return the file with the counter `oom_kill`."""
        if Controller.MEMORY not in self.controllers:
            return None
        return group / "memory.oom_control"

    def close(self) -> None:
        """Do nothing: opening changed nothing."""
