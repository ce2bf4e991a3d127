"""Starting and ending commands: a supervisor per command, and process trees that can't slip away.

The supervisor adopts every orphan of its command (on Linux), so a daemon that forked twice and left
its session is still found below it. It reports through a pipe: the command's process id, then its
wait status. When it ends, what the command left running belongs to the slot's first process and
lives until the slot is emptied.
"""

# pathlib would double the start-up time of a slot.

import os
import resource
import signal
import struct
import sys
import time
from typing import Any

NUMBER = struct.Struct("!i")
IS_LINUX = sys.platform == "linux"
_ROUNDS = 200
_FIRST_FREE = 3
_OOM_PREFERENCE = "800"
"""Above that of the slot's first process."""


def adopt_orphans() -> None:
    """Make this process the parent of orphans below it, where the system can."""
    if IS_LINUX:
        from treadle_sandbox.slot import linux

        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)


def start(
    request: "dict[str, Any]", streams: "tuple[int, int, int]", report: int, highest: int
) -> int:
    """Fork a supervisor that runs the command of `request`; return the supervisor's process id.

    `highest` is the largest descriptor in use: the supervisor keeps none but `report`.
    """
    supervisor = os.fork()
    if supervisor == 0:
        try:
            _supervise(request, streams, report, highest)
        finally:
            os._exit(1)
    return supervisor


def _supervise(
    request: "dict[str, Any]", streams: "tuple[int, int, int]", report: int, highest: int
) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    adopt_orphans()
    command = os.fork()
    if command == 0:
        _become(request, streams, highest)
    kept = os.dup2(report, _FIRST_FREE) if report != _FIRST_FREE else report
    os.closerange(kept + 1, highest + 1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.write(kept, NUMBER.pack(command))
    while True:
        ended, status = os.wait()
        if ended == command:
            os.write(kept, NUMBER.pack(status))
            os._exit(0)


def _become(request: "dict[str, Any]", streams: "tuple[int, int, int]", highest: int) -> None:
    try:
        os.setsid()
        for name in ("SIGINT", "SIGPIPE", "SIGXFSZ", "SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.umask(0o022)
        for target, source in enumerate(streams):
            os.dup2(source, target)
        for name, value in request["limits"].items():
            _limit(name, value)
        os.chdir(request["workdir"])
        _prefer_as_victim(highest)
        os.execvpe(request["argv"][0], request["argv"], request["env"])
    except OSError as error:
        os.write(
            2, f"cannot run {request['argv'][0]!r}: {error.strerror}\n".encode("utf-8", "replace")
        )
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    finally:
        os._exit(126)


def _prefer_as_victim(highest: int) -> None:
    """Have the kernel end commands before the slot's own process when the slot's memory runs out.

    The file belongs to who may read this process, which is nobody until it is a command: it
    becomes one here, with no descriptor left that a command may not have.
    """
    if not IS_LINUX:
        return
    from treadle_sandbox.slot import linux

    os.closerange(_FIRST_FREE, highest + 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_PREFERENCE)
    except OSError:
        return


def _limit(name: str, value: int) -> None:
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


def _signal(processes: "list[int]", number: int) -> None:
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
        _signal([root], signal.SIGSTOP)
    for attempt in range(_ROUNDS):
        # Asked before looking: a signal takes a moment to arrive, until then the root may fork.
        still = spare_root or _is_still(root)
        alive = [process for process in _below(root) if process != root]
        if not alive and not still:
            time.sleep(0.0005)
            continue
        if not alive:
            if not spare_root:
                _signal([root], signal.SIGKILL)
            return True
        _signal(alive, signal.SIGSTOP)
        if attempt % 2:
            _signal(alive, signal.SIGKILL)
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
