"""Process trees that can't slip away, and resource limits."""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH123, PTH208

import os
import resource
import signal
import sys
import time

IS_LINUX = sys.platform == "linux"
_ROUNDS = 200
_OOM_PREFERENCE = b"800"
"""Above that of the slot's first process."""


def adopt_orphans() -> None:
    """Make this process the parent of orphans below it, where the system can."""
    if IS_LINUX:
        from treadle_sandbox.slot import linux

        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)


def prefer_as_victim(*, shielded: bool) -> None:
    """Have the kernel end what this process starts before the slot's first process, when the
    slot's memory runs out.

    The file belongs to nobody in the slot while this process hides itself. It shows itself for that
    moment only where it is `shielded`: no command has the capabilities it takes to reach it then.
    """
    if not IS_LINUX:
        return
    from treadle_sandbox.slot import linux

    if shielded:
        linux.prctl(linux.PR_SET_DUMPABLE, 1)
    try:
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        score = -1
    if score >= 0:
        os.write(score, _OOM_PREFERENCE)
        os.close(score)
    if shielded:
        linux.prctl(linux.PR_SET_DUMPABLE, 0)


def limit(name: str, value: int) -> None:
    """Bound a resource of this process and its children, named as in `resource`."""
    number = getattr(resource, name, None)
    if number is None:
        return
    hard = resource.getrlimit(number)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(number, (bound, bound))
    except (OSError, ValueError):
        if IS_LINUX:
            raise


def _parents() -> "dict[int, int]":
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            parents[int(name)] = int(fields[1])
    return parents


def _below(root: int) -> "list[int]":
    parents = _parents()
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return [process for process in found if process in parents]


def signal_all(processes: "list[int]", number: int) -> None:
    """Signal processes, or groups as negative numbers; those that are gone don't matter."""
    for process in processes:
        try:
            os.kill(process, number)
        except OSError:
            continue


def _is_still(process: int) -> bool:
    """Whether a process is stopped or gone, so that it can't fork any more."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t", b"Z", b"X")
    except OSError:
        return True


def kill_below(root: int, *, spare_root: bool) -> bool:
    """Kill everything below a process, then the process; return whether nothing is left.

    Each round stops the whole tree before it kills, the adopting root first and to the end: a fork
    bomb can't outrun it and no orphan can slip to another parent.
    """
    if not IS_LINUX:
        return _kill_group(root)
    if not spare_root:
        signal_all([root], signal.SIGSTOP)
    for attempt in range(_ROUNDS):
        # Asked before looking: a signal takes a moment to arrive, until then the root may fork.
        still = spare_root or _is_still(root)
        alive = [process for process in _below(root) if process != root]
        if not alive and not still:
            time.sleep(0.0005)
            continue
        if not alive:
            if not spare_root:
                signal_all([root], signal.SIGKILL)
            return True
        signal_all(alive, signal.SIGSTOP)
        if attempt % 2:
            signal_all(alive, signal.SIGKILL)
        if attempt > 2:
            time.sleep(0.002)
    return False


def _kill_group(leader: int) -> bool:
    for kill in (os.killpg, os.kill):
        try:
            kill(leader, signal.SIGKILL)
        except OSError:
            continue
    return True
