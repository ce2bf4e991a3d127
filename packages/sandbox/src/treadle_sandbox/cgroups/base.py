"""What every control-group hierarchy has in common: bounds, files, and the shape of a tree.

All calls are short reads and writes of kernel files and raise plain `OSError`; `driver` turns them
into the errors of this package.
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

PERIOD = 100_000
"""Microseconds in which a processor quota is given out anew."""
_QUOTA_LEAST = 1_000


class Controller(StrEnum):
    """What a hierarchy can bound."""

    MEMORY = "memory"
    PIDS = "pids"
    CPU = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits of one group; `None` leaves a resource unbounded."""

    memory_bytes: int | None = None
    """Memory of all its processes, their files on tmpfs and the kernel's part included."""
    processes: int | None = None
    """Processes and threads."""
    cpus: float | None = None
    """Processors' worth of time."""

    @property
    def needs(self) -> frozenset[Controller]:
        """The controllers without which these bounds don't hold."""
        values = {
            Controller.MEMORY: self.memory_bytes,
            Controller.PIDS: self.processes,
            Controller.CPU: self.cpus,
        }
        return frozenset(name for name, value in values.items() if value is not None)

    @property
    def quota(self) -> int:
        """Microseconds of processor time in a period; -1 for no bound."""
        return -1 if self.cpus is None else max(_QUOTA_LEAST, round(self.cpus * PERIOD))


class Tree(Protocol):
    """One mounted hierarchy, seen from the group that this process is in."""

    @property
    def folder(self) -> Path:
        """The group of this process."""
        ...

    @property
    def controllers(self) -> frozenset[Controller]:
        """What groups below `folder` can bound."""
        ...

    def prepare(self, parent: Path) -> None:
        """Make the group that will hold the groups of the slots."""
        ...

    def bound(self, group: Path, bounds: Bounds) -> None:
        """Write the limits that this tree has controllers for."""
        ...

    def kill(self, group: Path) -> bool:
        """Kill everything in a group with one order that no fork outruns; False when the tree has
        none.
        """
        ...

    def hold(self, group: Path, *, still: bool) -> None:
        """Stop a group from running or growing, where the tree can; `still=False` lets it run."""
        ...

    def out_of_memory_file(self, group: Path) -> Path | None:
        """Return the file that counts the processes killed for lack of memory."""
        ...

    def close(self) -> None:
        """Undo what opening the tree changed."""
        ...


def write(path: Path, text: str) -> None:
    """Write a kernel file with one system call."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def list_processes(group: Path) -> tuple[int, ...]:
    """Return the processes of a group; none when it is gone."""
    try:
        text = (group / "cgroup.procs").read_text(encoding="ascii")
    except (FileNotFoundError, OSError):
        return ()
    return tuple(int(word) for word in text.split() if word != "0")
