"""Commands that run to their end: one reply each, with its status and bounded output.

Supervisors that are done are kept for the next command of the same user. A command with standard
input gets one of its own.
"""

import os
import time
from typing import Any

from treadle_sandbox.slot import frames, processes
from treadle_sandbox.slot.loop import WRITE, Loop
from treadle_sandbox.slot.output import Capture
from treadle_sandbox.slot.supervisors import NO_WORKDIR, REPORT, REQUEST_MOST, Supervisor

_DRAIN_MOST = 1 << 20
_IDLE_MOST = 2
_IDLE_SECONDS = 2.0
"""How long a supervisor waits for another command: it holds more memory than the slot itself."""


class Command:
    """One running command."""

    __slots__ = (
        "captures",
        "deadline",
        "expire",
        "flags",
        "input",
        "input_pipe",
        "killed",
        "number",
        "started",
        "status",
        "supervisor",
    )

    def __init__(self, request: "dict[str, Any]") -> None:
        self.number: int = request["id"]
        self.started = time.monotonic()
        self.deadline: float = self.started + request["timeout"]
        self.input = memoryview(request["stdin"])
        self.input_pipe = -1
        self.flags = 0
        self.killed = False
        self.status: int | None = None
        limit = request["output_limit"]
        self.captures = (Capture(limit), Capture(limit))


def status_to_code(status: int) -> int:
    """Return an exit code for a wait status: 128 + n for signal n."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def encode_result(call: Any, code: int) -> bytes:
    """Return the reply of a finished command, or of one of a session."""
    output, errors = call.captures
    flags = call.flags
    if output.truncated or errors.truncated:
        flags |= frames.TRUNCATED
    return frames.encode_reply(
        call.number,
        exit_code=code,
        flags=flags,
        totals=(output.total, errors.total),
        microseconds=int((time.monotonic() - call.started) * 1e6),
        first=output.value(),
        second=errors.value(),
    )


class _Rest:
    """When idle supervisors end."""

    __slots__ = ("deadline", "expire")

    def __init__(self, expire: Any) -> None:
        self.deadline = 0.0
        self.expire = expire


class Commands:
    """Runs commands under supervisors."""

    def __init__(self, loop: Loop, setting: "dict[str, Any]") -> None:
        self._loop = loop
        self._setting = setting
        self._idle: dict[str, list[Supervisor]] = {}
        self._rest = _Rest(self._end_idle)
        self._running: dict[int, Command] = {}
        self._null = os.open(os.devnull, os.O_RDONLY)

    def start(self, request: "dict[str, Any]") -> None:
        """Start the command of an `exec` request."""
        user = request["user"]
        command = Command(request)
        command.expire = lambda: self._expire(command)
        if not self._reuse(command, request["command"], user):
            self._fork(command, request["command"], user)
        self._running[command.number] = command
        self._attach(command)
        self._loop.time(command)

    def _reuse(self, command: Command, request: bytes, user: str) -> bool:
        """Give the command to an idle supervisor; return whether one took it."""
        idle = self._idle.get(user)
        while idle and not command.input and len(request) <= REQUEST_MOST:
            command.supervisor = idle.pop()
            try:
                command.supervisor.send(request)
            except OSError:
                # A command of the same user has killed it.
                _discard(command.supervisor)
            else:
                return True
        return False

    def _fork(self, command: Command, request: bytes, user: str) -> None:
        source, feed = os.pipe() if command.input else (self._null, -1)
        alone = bool(command.input)
        try:
            command.supervisor = Supervisor(
                request, self._setting, user=user, source=source, alone=alone
            )
        except OSError:
            if feed >= 0:
                os.close(feed)
            raise
        finally:
            if source != self._null:
                os.close(source)
        if feed >= 0:
            os.set_blocking(feed, False)
            command.input_pipe = feed
            self._loop.watch(feed, self._feed, command, WRITE)

    def _attach(self, command: Command) -> None:
        supervisor = command.supervisor
        output, errors = command.captures
        output.descriptor, errors.descriptor = supervisor.output, supervisor.errors
        self._loop.watch(supervisor.output, self._collect, output)
        self._loop.watch(supervisor.errors, self._collect, errors)
        self._loop.watch(supervisor.report, self._learn, command)

    def _collect(self, capture: Capture) -> None:
        capture.read()
        if not capture.open:
            self._loop.leave(capture.descriptor)

    def _feed(self, command: Command) -> None:
        try:
            sent = os.write(command.input_pipe, command.input[:65_536])
            command.input = command.input[sent:]
        except BlockingIOError:
            return
        except OSError:
            command.input = command.input[:0]
        if not command.input:
            self._loop.forget(command.input_pipe)
            command.input_pipe = -1

    def _learn(self, command: Command) -> None:
        try:
            data = os.read(command.supervisor.report, REPORT.size)
        except BlockingIOError:
            return
        reusable = False
        if len(data) == REPORT.size:
            command.status, alone = REPORT.unpack(data)
            reusable = bool(alone) and not command.killed and command.supervisor.reusable
        elif command.supervisor.command and not command.killed:
            processes.kill_below(command.supervisor.command, spare_root=False)
        self._finish(command, reusable)

    def _finish(self, command: Command, reusable: bool) -> None:
        del self._running[command.number]
        self._loop.untime(command)
        if command.input_pipe >= 0:
            self._loop.forget(command.input_pipe)
        for capture in command.captures:
            capture.drain(_DRAIN_MOST)
        self._release(command, reusable)
        self._loop.answer(self._encode(command))

    def _release(self, command: Command, reusable: bool) -> None:
        supervisor, loop = command.supervisor, self._loop
        pool = self._idle.setdefault(supervisor.user, [])
        if reusable and len(pool) < _IDLE_MOST and all(one.open for one in command.captures):
            for descriptor in (supervisor.output, supervisor.errors, supervisor.report):
                loop.leave(descriptor)
            pool.append(supervisor)
            self._rest.deadline = time.monotonic() + _IDLE_SECONDS
            loop.time(self._rest)
            return
        supervisor.close()
        loop.forget(supervisor.report)
        for capture in command.captures:
            if capture.open:
                loop.discard(capture.descriptor)
            else:
                loop.forget(capture.descriptor)

    def _encode(self, command: Command) -> bytes:
        if command.status == NO_WORKDIR:
            return frames.encode_reply(command.number, error=frames.BAD_WORKDIR)
        if command.flags & frames.TIMED_OUT:
            return encode_result(command, 124)
        killed = command.status is None or command.killed
        return encode_result(command, 137 if killed else status_to_code(command.status or 0))

    def _expire(self, command: Command) -> None:
        command.flags |= frames.TIMED_OUT
        self._end(command)

    def cancel(self, number: int) -> None:
        """End a running command and everything below it."""
        command = self._running.get(number)
        if command is not None:
            self._end(command)

    def _end(self, command: Command) -> None:
        if command.killed:
            return
        command.killed = True
        supervisor = command.supervisor
        roots = (supervisor.pid,) if processes.IS_LINUX else (supervisor.command, supervisor.pid)
        for root in roots:
            if root and not processes.kill_below(root, spare_root=False):
                command.flags |= frames.UNFIT

    def end_all(self) -> None:
        """End every command and every idle supervisor."""
        for command in list(self._running.values()):
            self._end(command)
        self._end_idle()

    def _end_idle(self) -> None:
        self._loop.untime(self._rest)
        for supervisor in [one for pool in self._idle.values() for one in pool]:
            _discard(supervisor)
        self._idle.clear()


def _discard(supervisor: Supervisor) -> None:
    supervisor.close()
    for descriptor in (supervisor.output, supervisor.errors, supervisor.report):
        os.close(descriptor)
