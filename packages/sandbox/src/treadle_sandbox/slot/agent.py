"""The slot's first process: takes requests from the host, runs commands, serves files, ends with
the host.

One thread and one `poll`: requests of one slot run at the same time without holding each other. The
process is process 1 of the slot where there are namespaces, so orphans come to it, signals from
inside can't end it, and the kernel kills whatever is left when it exits. It exits as soon as the
host closes the socket.
"""

import gc
import os
import signal
from typing import Any

from treadle_sandbox.slot import files, frames, processes
from treadle_sandbox.slot.background import Background
from treadle_sandbox.slot.commands import Commands
from treadle_sandbox.slot.loop import Loop
from treadle_sandbox.slot.sessions import Sessions
from treadle_sandbox.slot.workers import Workers


class Agent:
    """Serves one control socket until its other end is closed."""

    def __init__(self, control: int, config: "dict[str, Any]") -> None:
        self._root: str = config["root"]
        self._requests = frames.RequestReader()
        self._loop = loop = Loop(control)
        users = config.get("users", {})
        # A root of the slot has capabilities enough to reach a process of the agent's.
        shielded = "verifier" in users and "root" not in users
        setting: dict[str, Any] = {"limits": {}, "root": self._root, "shielded": shielded}
        self._setting = setting
        self._commands = Commands(loop, setting)
        self._sessions = Sessions(loop, setting)
        self._background = Background(loop, setting)
        self._workers = Workers(loop, self._root, config["disk_bytes"])
        self._operations: dict[str, Any] = {
            "exec": self._commands.start,
            "run": self._sessions.run,
            "cancel": self._cancel,
            "limits": self._limit,
            "read": self._read,
            "write": self._write,
            "list": self._list,
            "kill": self._kill,
            "session": self._sessions.open,
            "session_end": self._sessions.close,
            "start": self._background.start,
            "job": self._background.state,
            "job_wait": self._background.wait,
            "job_read": self._background.read,
            "job_write": self._background.write,
            "job_kill": self._background.kill,
            "jobs": self._background.list,
            "archive": self._workers.archive,
            "extract": self._workers.extract,
        }

    def run(self, greeting: bytes) -> None:
        """Send the greeting, then serve until the host is gone."""
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        self._loop.watch(wake, self._reap, wake)
        self._loop.answer(frames.encode_reply(0, first=greeting))
        gc.collect()
        gc.freeze()
        self._loop.run(self._receive)

    def _receive(self, data: bytes) -> None:
        for request in self._requests.feed(data):
            try:
                self._operations[request["op"]](request)
            except (OSError, MemoryError) as error:
                code = getattr(error, "errno", None) or 12
                self._loop.answer(frames.encode_reply(request["id"], error=code))

    def _limit(self, request: "dict[str, Any]") -> None:
        self._setting["limits"] = request["limits"]

    def _cancel(self, request: "dict[str, Any]") -> None:
        for part in (self._commands, self._sessions, self._background, self._workers):
            part.cancel(request["target"])

    def _read(self, request: "dict[str, Any]") -> None:
        data = files.read(self._root, request["path"], request["limit"])
        self._loop.answer(frames.encode_reply(request["id"], first=data))

    def _write(self, request: "dict[str, Any]") -> None:
        files.write(self._root, request["path"], request["data"], request["mode"])
        self._loop.answer(frames.encode_reply(request["id"]))

    def _list(self, request: "dict[str, Any]") -> None:
        data = files.list_below(self._root, request["path"])
        self._loop.answer(frames.encode_reply(request["id"], first=data))

    def _kill(self, request: "dict[str, Any]") -> None:
        flags = 0 if self.close() else frames.UNFIT
        self._loop.answer(frames.encode_reply(request["id"], flags=flags))

    def _reap(self, wake: int) -> None:
        try:
            os.read(wake, 4096)
        except BlockingIOError:
            return
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    return
            except ChildProcessError:
                return

    def close(self) -> bool:
        """End everything that was started; return whether nothing is left."""
        self._workers.end_all()
        self._commands.end_all()
        self._sessions.end_all()
        self._background.end_all()
        return processes.kill_below(os.getpid(), spare_root=True) if processes.IS_LINUX else True


def _ignore(number: int, frame: object) -> None:
    """Stand for a handler, so that the signal wakes the poll."""
