"""The control groups of this machine, as far as this process may use them.

`find_driver` tries them by making, filling, killing and removing a real group below the group this
process is in; it mounts and unmounts nothing. What isn't usable is left out, with the reason: the
driver is then `none`, or has fewer controllers, and `check` refuses bounds that wouldn't hold.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from treadle_sandbox.cgroups import owner
from treadle_sandbox.cgroups.base import Bounds, Controller, Tree, list_processes
from treadle_sandbox.cgroups.group import Group
from treadle_sandbox.cgroups.legacy import LegacyTree
from treadle_sandbox.cgroups.places import Place, find_places
from treadle_sandbox.cgroups.unified import UnifiedTree
from treadle_sandbox.errors import IsolationUnavailableError, SlotStartError

_TRIAL = Bounds(memory_bytes=64 << 20, processes=8, cpus=1.0)
_FIELDS = {
    Controller.MEMORY: "slot_memory_bytes",
    Controller.PIDS: "processes",
    Controller.CPU: "slot_cpus",
}


class DriverKind(StrEnum):
    """Which versions of control groups are in use."""

    NONE = "none"
    V1 = "v1"
    HYBRID = "hybrid"
    """Controllers of version 1, and killing by version 2."""
    V2 = "v2"


class Driver:
    """Makes groups below one group of its own. Close it after the last group has ended."""

    def __init__(self, trees: Iterable[Tree], name: str, reasons: tuple[str, ...]) -> None:
        self._trees = tuple(trees)
        self._name = name
        self.reasons = reasons
        """Why something can't be bounded, one line for each hierarchy."""

    @property
    def kind(self) -> DriverKind:
        """Which versions are in use."""
        unified = any(isinstance(tree, UnifiedTree) for tree in self._trees)
        legacy = any(isinstance(tree, LegacyTree) for tree in self._trees)
        if unified and legacy:
            return DriverKind.HYBRID
        if unified:
            return DriverKind.V2
        return DriverKind.V1 if legacy else DriverKind.NONE

    @property
    def controllers(self) -> frozenset[Controller]:
        """What its groups can bound."""
        return frozenset(name for tree in self._trees for name in tree.controllers)

    def check(self, bounds: Bounds) -> None:
        """Refuse bounds that wouldn't hold.

        Raises:
            IsolationUnavailableError: names the limits and says why.
        """
        missing = sorted(_FIELDS[name] for name in bounds.needs - self.controllers)
        if missing:
            why = "; ".join(self.reasons) or "this system has no such controller"
            raise IsolationUnavailableError(
                f"{' and '.join(missing)} can't be held here: control groups are {self.kind} "
                f"({why}). Leave the limit out, or run where this process may make control groups"
            )

    def make(self, name: str, bounds: Bounds) -> Group:
        """Return a new group with these bounds.

        Raises:
            SlotStartError: the system refuses.
        """
        unified = any(isinstance(tree, UnifiedTree) for tree in self._trees)
        places = tuple(
            (tree, tree.folder / self._name / name)
            for tree in self._trees
            # A move costs time in each tree: take those that bound or end something.
            if tree.controllers & bounds.needs or isinstance(tree, UnifiedTree) or not unified
        )
        group = Group(name, places)
        try:
            group.make(bounds)
        except OSError as error:
            raise SlotStartError(f"can't make the control group {name!r}: {error}") from error
        return group

    def reclaim(self) -> int:
        """Kill and remove the groups that dead processes left beside ours; return their number."""
        found: set[Path] = set()
        count = 0
        for tree in self._trees:
            for path in tree.folder.glob("treadle-*"):
                maker = owner.parse(path.name)
                if maker is not None and maker.is_dead():
                    found.add(path)
        for name in sorted({path.name for path in found}):
            count += self._end(name)
        return count

    def close(self) -> bool:
        """Kill what is left and remove everything; return whether nothing stays."""
        gone = self._end(self._name)
        for tree in self._trees:
            tree.close()
        self._trees = ()
        return gone

    def _end(self, name: str) -> bool:
        left = [tree for tree in self._trees if not _end_below(tree, tree.folder / name)]
        return not left


def find_driver() -> Driver:
    """Return the driver of this machine. Blocks for some milliseconds: call it in a thread."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape")
        name = owner.Owner.of(os.getpid()).name()
    except OSError as error:
        return Driver((), "", (f"this system shows no control groups: {error}",))
    return open_driver(find_places(mounts, groups), name)


def open_driver(places: Iterable[Place], name: str) -> Driver:
    """Return a driver over the places that pass a trial."""
    trees: list[Tree] = []
    reasons: list[str] = []
    for place in places:
        try:
            tree = UnifiedTree.open(place) if place.unified else LegacyTree.open(place)
        except OSError as error:
            reasons.append(str(error))
            continue
        try:
            _try(tree, name)
        except (OSError, SlotStartError) as error:
            reasons.append(str(error))
            _end_below(tree, tree.folder / name)
            tree.close()
            continue
        trees.append(tree)
        if isinstance(tree, UnifiedTree) and tree.reason:
            reasons.append(tree.reason)
    if not trees and not reasons:
        reasons.append("no hierarchy is mounted that shows this process's own group")
    return Driver(trees, name, tuple(reasons))


def _try(tree: Tree, name: str) -> None:
    tree.prepare(tree.folder / name)
    group = Driver((tree,), name, ()).make("trial", _TRIAL)
    argv = ("/bin/sh", "-c", "read line")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            group.add(process.pid)
            seen = process.pid in group.processes()
            gone = group.end()
        finally:
            process.kill()
    if not (seen and gone and process.returncode == -signal.SIGKILL):
        raise SlotStartError(f"{tree.folder}: a group there doesn't hold or lose its process")


def _end_below(tree: Tree, folder: Path) -> bool:
    """Kill and remove a group and the groups in it; return whether nothing is left."""
    if not folder.exists():
        return True
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir():
                _end_below(tree, path)
    group = Group(folder.name, ((tree, folder),))
    return group.end() and not list_processes(folder)
