"""One group: the processes of a slot, bounded and killed as one."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path

from treadle_sandbox.cgroups.base import Bounds, Tree, list_processes, write

_COUNTER = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_PAUSE = 0.001


class Group:
    """The same group in every tree of a driver. With no tree it bounds nothing and is empty."""

    def __init__(self, name: str, places: tuple[tuple[Tree, Path], ...]) -> None:
        self.name = name
        self._places = places
        self._counter = -1

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its folders, one in each tree; none where there are no control groups."""
        return tuple(path for _, path in self._places)

    def make(self, bounds: Bounds) -> None:
        """Create it and write its limits. On failure nothing stays.

        Raises:
            OSError: a tree refuses.
        """
        try:
            for tree, path in self._places:
                path.mkdir()
                tree.bound(path, bounds)
                counter = tree.out_of_memory_file(path)
                if counter is not None and self._counter < 0:
                    self._counter = os.open(counter, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.remove()
            raise

    def add(self, process: int) -> None:
        """Move a process in; what it starts from now on is in too.

        Raises:
            OSError: it is gone, or may not be moved.
        """
        for _, path in self._places:
            write(path / "cgroup.procs", str(process))

    def processes(self) -> tuple[int, ...]:
        """Return the processes in it."""
        return tuple({number for _, path in self._places for number in list_processes(path)})

    def out_of_memory_kills(self) -> int:
        """Return how many of its processes were killed for lack of memory so far."""
        if self._counter < 0:
            return 0
        found = _COUNTER.search(os.pread(self._counter, 4096, 0))
        return int(found[1]) if found else 0

    def kill(self) -> None:
        """Send SIGKILL to all of it. They are gone a moment later: see `end`."""
        if any(tree.kill(path) for tree, path in self._places):
            return
        for tree, path in self._places:
            tree.hold(path, still=True)
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for tree, path in self._places:
            tree.hold(path, still=False)

    def remove(self) -> bool:
        """Delete the group where it is empty; return whether nothing of it is left."""
        if self._counter >= 0:
            os.close(self._counter)
            self._counter = -1
        left = False
        for _, path in self._places:
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                left = True
        return not left

    def end(self, timeout: float = 5.0) -> bool:
        """Kill and delete it, waiting at most `timeout` seconds; return whether it is gone.

        Blocks: call it in a thread.
        """
        until = time.monotonic() + timeout
        while True:
            self.kill()
            if self.remove():
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE)
