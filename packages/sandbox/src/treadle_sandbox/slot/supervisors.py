"""A supervisor: the process above one command at a time.

It adopts every orphan of its command (on Linux), so a daemon that forked twice and left its session
is still found below it, and it alone reports the command's status. It is forked from the slot's
first process, out of reach for commands of the slot, and starts commands by `posix_spawn`, which
costs a fraction of a fork. A supervisor whose command left nothing behind serves the next one;
otherwise it ends, and what is left belongs to the slot's first process and lives until the slot is
emptied. The pipes of the command are the supervisor's own descriptors 0, 1 and 2.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH208

import gc
import marshal
import mmap
import os
import signal
import struct
from typing import Any

from treadle_sandbox.slot import processes

REPORT = struct.Struct("!iB")
"""Wait status of a command, and whether the supervisor is ready for another one."""
NO_WORKDIR = -1
REQUEST_MOST = 60_000
"""What surely fits into an empty pipe."""
_USES_MOST = 500
_STDERR, _REPORTS, _REQUESTS = 2, 3, 4
_NUMBER = struct.Struct("!i")
_DEFAULTS = ("SIGINT", "SIGPIPE", "SIGXFSZ", "SIGTERM", "SIGHUP", "SIGCHLD")


class Supervisor:
    """The agent's end of a supervisor."""

    __slots__ = ("_note", "errors", "output", "pid", "report", "requests", "user", "uses")

    def __init__(
        self, request: bytes, setting: "dict[str, Any]", *, user: str, source: int, alone: bool
    ) -> None:
        """Fork one that begins with `request`, a `marshal` tuple of argv, environment and working
        directory. `source` becomes the command's standard input; `alone`: for this command only.
        """
        self.user = user
        self.uses = _USES_MOST if alone else 0
        self._note = mmap.mmap(-1, mmap.PAGESIZE)
        pipes = [os.pipe() for _ in range(4)]
        (self.output, out), (self.errors, err), (self.report, report), (wants, self.requests) = (
            pipes
        )
        try:
            self.pid = os.fork()
        except OSError:
            for pair in pipes:
                for descriptor in pair:
                    os.close(descriptor)
            raise
        if self.pid == 0:
            try:
                os.close(self.requests)
                _serve(request, setting, (source, out, err, report, wants), self._note, user)
            finally:
                os._exit(1)
        for descriptor in (out, err, report, wants):
            os.close(descriptor)
        for descriptor in (self.output, self.errors, self.report):
            os.set_blocking(descriptor, False)

    @property
    def reusable(self) -> bool:
        """Whether it may serve another command."""
        return self.uses < _USES_MOST

    def send(self, request: bytes) -> None:
        """Give the next command to an idle supervisor."""
        self.uses += 1
        os.write(self.requests, request)

    @property
    def command(self) -> int:
        """Process id of the last command, 0 when there is none yet; it outlives the supervisor."""
        return int(_NUMBER.unpack_from(self._note)[0])

    def close(self) -> None:
        """Close what `Loop` doesn't watch."""
        os.close(self.requests)
        self._note.close()


def _serve(
    request: bytes,
    setting: "dict[str, Any]",
    descriptors: "tuple[int, ...]",
    note: mmap.mmap,
    user: str,
) -> None:
    gc.disable()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    processes.adopt_orphans()
    os.umask(0o022)
    keep_only(descriptors)
    processes.prefer_as_victim(shielded=setting["shielded"])
    for name, value in setting["limits"].items():
        processes.limit(name, value)
    if user != "user":
        from treadle_sandbox.slot import rights

        rights.become(user)
    while request:
        argv, environment, workdir = marshal.loads(request)
        status = NO_WORKDIR
        try:
            os.chdir(workdir)
        except OSError:
            pass
        else:
            status = _run(argv, environment, note)
        alone = _is_alone()
        os.write(_REPORTS, REPORT.pack(status, alone))
        if not alone:
            os._exit(0)
        request = os.read(_REQUESTS, 1 << 16)
    os._exit(0)


def keep_only(descriptors: "tuple[int, ...]") -> None:
    """Move descriptors to 0, 1, 2 and so on, the first three for children too, and close all
    others.
    """
    above = max(int(name) for name in os.listdir("/dev/fd")) + 1
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, above + place)
    for place in range(len(descriptors)):
        os.dup2(above + place, place, inheritable=place <= _STDERR)
    os.closerange(len(descriptors), above + len(descriptors))


def _is_alone() -> bool:
    """Reap what has ended; return whether no process is left below this one."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def _run(argv: "list[str]", environment: "dict[str, str]", note: mmap.mmap) -> int:
    """Run a command to its end; return its wait status."""
    try:
        command = _spawn(argv, environment)
    except OSError as error:
        message = f"cannot run {argv[0]!r}: {error.strerror}\n"
        os.write(2, message.encode("utf-8", "replace"))
        return (127 if isinstance(error, FileNotFoundError) else 126) << 8
    _NUMBER.pack_into(note, 0, command)
    while True:
        ended, status = os.wait()
        if ended == command:
            return status


def _spawn(argv: "list[str]", environment: "dict[str, str]") -> int:
    program, failure = argv[0], None
    folders = [""]
    if "/" not in program:
        folders = [f"{folder}/" for folder in environment.get("PATH", os.defpath).split(":")]
    defaults = [getattr(signal, name) for name in _DEFAULTS]
    for folder in folders:
        try:
            return os.posix_spawn(
                folder + program, argv, environment, setsid=True, setsigdef=defaults
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            failure = failure or error
        except PermissionError as error:
            failure = error
    raise failure or FileNotFoundError(2, os.strerror(2), program)
