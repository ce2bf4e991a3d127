"""Persistent shells of a slot.

A session is a bash that reads its commands from a named pipe. Each command is one `eval` of quoted
text, so nothing a command contains can reach into the framing; its output goes to named pipes that
the shell opens for this one command, and its status, with a number that nobody can guess, to a
third. Children of the shell inherit descriptors 0, 1 and 2 alone. When the end of an output isn't
seen with the status, a background process still holds the pipe: the next command gets a new one.

Code of the same user can reach a shell and forge its results; what must not be forged runs by
`exec` as another user.
"""

# pathlib would double the start-up time of a slot.

import os
import time
from typing import Any

from treadle_sandbox.slot import frames, processes
from treadle_sandbox.slot.commands import encode_result, status_to_code
from treadle_sandbox.slot.loop import WRITE, Loop
from treadle_sandbox.slot.output import Capture
from treadle_sandbox.slot.shells import Shell
from treadle_sandbox.slot.supervisors import REPORT

_DRAIN_MOST = 1 << 20
_READ = os.O_RDONLY | os.O_NONBLOCK


class Call:
    """One command of a session."""

    __slots__ = ("captures", "deadline", "expire", "flags", "killed", "mark", "number", "started")

    def __init__(self, request: "dict[str, Any]") -> None:
        self.number: int = request["id"]
        self.started = time.monotonic()
        self.deadline: float = self.started + request["timeout"]
        self.flags = 0
        self.killed = False
        self.mark = os.urandom(6).hex().encode()
        limit = request["output_limit"]
        self.captures = (Capture(limit), Capture(limit))


class Sessions:
    """The shells of one slot, by name."""

    def __init__(self, loop: Loop, setting: "dict[str, Any]") -> None:
        self._loop = loop
        self._setting = setting
        self._shells: dict[str, Shell] = {}
        self._opened: dict[str, dict[str, Any]] = {}

    def open(self, request: "dict[str, Any]") -> None:
        """Start the shell of a name unless it is there."""
        name = request["name"]
        self._opened[name] = request
        if name not in self._shells:
            self._start(name)
        self._loop.answer(frames.encode_reply(request["id"]))

    def _start(self, name: str) -> Shell:
        shell = Shell(self._opened[name], self._setting)
        self._shells[name] = shell
        supervisor, loop = shell.supervisor, self._loop
        loop.discard(supervisor.output)
        loop.discard(supervisor.errors)
        loop.watch(supervisor.report, self._learn_of_end, shell)
        loop.watch(shell.status, self._learn, shell)
        return shell

    def run(self, request: "dict[str, Any]") -> None:
        """Run text in a shell, starting the shell anew when it is gone."""
        name = request["name"]
        if name not in self._opened:
            self._loop.answer(frames.encode_reply(request["id"], error=frames.NO_JOB))
            return
        shell, flags = self._shells.get(name), 0
        if shell is not None:
            # It may have died since the last call.
            self._learn_of_end(shell)
            shell = self._shells.get(name)
        if shell is None:
            shell, flags = self._start(name), frames.RESTARTED
        call = Call(request)
        call.flags = flags
        call.expire = lambda: self._expire(shell)
        shell.call = call
        for capture, pipe in zip(call.captures, shell.outputs, strict=True):
            capture.descriptor = os.open(pipe, _READ)
            self._loop.watch(capture.descriptor, self._collect, capture)
        self._loop.time(call)
        shell.pending += shell.frame(request["script"], call.mark)
        self._send(shell)

    def _send(self, shell: Shell) -> None:
        if shell.send():
            self._loop.leave(shell.commands)
        else:
            self._loop.watch(shell.commands, self._send, shell, WRITE)

    def _collect(self, capture: Capture) -> None:
        capture.read()
        if not capture.open:
            self._loop.leave(capture.descriptor)

    def _learn(self, shell: Shell) -> None:
        code = shell.read_status(shell.call.mark if shell.call is not None else b"-")
        if code is not None:
            self._finish(shell, code)

    def _learn_of_end(self, shell: Shell) -> None:
        try:
            data = os.read(shell.supervisor.report, REPORT.size)
        except BlockingIOError:
            return
        status = REPORT.unpack(data)[0] if len(data) == REPORT.size else None
        if status is None and shell.supervisor.command and not shell.killed:
            processes.kill_below(shell.supervisor.command, spare_root=False)
        self._remove(shell)
        if shell.call is not None:
            killed = shell.call.killed or status is None
            self._finish(shell, 137 if killed else status_to_code(status or 0))

    def _remove(self, shell: Shell) -> None:
        for name in [name for name, other in self._shells.items() if other is shell]:
            del self._shells[name]
        for descriptor in (shell.status, shell.commands, shell.supervisor.report):
            self._loop.forget(descriptor)
        shell.remove()

    def _finish(self, shell: Shell, code: int) -> None:
        call = shell.call
        shell.call = None
        self._loop.untime(call)
        for place, capture in enumerate(call.captures):
            capture.drain(_DRAIN_MOST)
            if capture.open:
                self._loop.discard(capture.descriptor)
                shell.renew(place)
            else:
                self._loop.forget(capture.descriptor)
        if call.flags & frames.TIMED_OUT:
            code = 124
        self._loop.answer(encode_result(call, code))

    def _expire(self, shell: Shell) -> None:
        shell.call.flags |= frames.TIMED_OUT
        self._end(shell)

    def cancel(self, number: int) -> None:
        """End the shell that runs this request, with everything below it."""
        for shell in list(self._shells.values()):
            if shell.call is not None and shell.call.number == number:
                self._end(shell)

    def _end(self, shell: Shell) -> None:
        if shell.killed:
            return
        shell.killed = True
        if shell.call is not None:
            shell.call.killed = True
        pid, command = shell.supervisor.pid, shell.supervisor.command
        clean = [
            processes.kill_below(root, spare_root=False)
            for root in ((pid,) if processes.IS_LINUX else (command, pid))
            if root
        ]
        if shell.call is not None and not all(clean):
            shell.call.flags |= frames.UNFIT

    def close(self, request: "dict[str, Any]") -> None:
        """End a shell and forget its name."""
        self._opened.pop(request["name"], None)
        shell = self._shells.pop(request["name"], None)
        if shell is not None:
            self._end(shell)
        self._loop.answer(frames.encode_reply(request["id"]))

    def end_all(self) -> None:
        """End every shell; the names are kept."""
        for shell in list(self._shells.values()):
            self._end(shell)
        self._shells.clear()
