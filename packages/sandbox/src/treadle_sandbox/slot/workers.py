"""Work on many files in a process of its own, so that the agent goes on serving: archives out and
in.
"""

import os
import signal
import struct
from typing import Any

from treadle_sandbox.slot import archives, frames
from treadle_sandbox.slot.loop import Loop
from treadle_sandbox.slot.output import Capture
from treadle_sandbox.slot.supervisors import keep_only

_OUTCOME = struct.Struct("!iq")
_MAXIMUM = 1 << 31
_OUTPUT, _OUTCOMES = 3, 4


class Worker:
    """One process at work."""

    __slots__ = ("capture", "heard", "number", "outcome", "process")

    def __init__(self, number: int, process: int, output: int, outcome: int) -> None:
        self.number = number
        self.process = process
        self.capture = Capture(_MAXIMUM, output)
        self.outcome = outcome
        self.heard = b""


class Workers:
    """The processes of one slot that move files."""

    def __init__(self, loop: Loop, root: str, room: int) -> None:
        self._loop = loop
        self._root = root
        self._room = room
        self._workers: dict[int, Worker] = {}

    def archive(self, request: "dict[str, Any]") -> None:
        """Answer with an archive of a folder."""
        path, limit = request["path"], request["limit"]

        def work(output: int) -> int:
            return archives.pack(self._root, path, output, limit)

        self._start(request["id"], work)

    def extract(self, request: "dict[str, Any]") -> None:
        """Unpack an archive; answer with the number of files."""
        path, data = request["path"], request["data"]

        def work(output: int) -> int:
            os.close(output)
            return archives.unpack(self._root, path, data, self._room)

        self._start(request["id"], work)

    def _start(self, number: int, work: Any) -> None:
        (output, out), (outcome, done) = os.pipe(), os.pipe()
        try:
            process = os.fork()
        except OSError:
            for descriptor in (output, out, outcome, done):
                os.close(descriptor)
            raise
        if process == 0:
            try:
                _work(work, out, done)
            finally:
                os._exit(1)
        os.close(out)
        os.close(done)
        for descriptor in (output, outcome):
            os.set_blocking(descriptor, False)
        worker = Worker(number, process, output, outcome)
        self._workers[number] = worker
        self._loop.watch(output, self._collect, worker)
        self._loop.watch(outcome, self._learn, worker)

    def _collect(self, worker: Worker) -> None:
        worker.capture.read()
        if not worker.capture.open:
            self._loop.leave(worker.capture.descriptor)

    def _learn(self, worker: Worker) -> None:
        try:
            data = os.read(worker.outcome, _OUTCOME.size)
        except BlockingIOError:
            return
        if data:
            worker.heard = data
            return
        del self._workers[worker.number]
        worker.capture.drain(_MAXIMUM)
        self._loop.forget(worker.outcome)
        self._loop.forget(worker.capture.descriptor)
        error, count = frames.CLOSED, 0
        if len(worker.heard) == _OUTCOME.size:
            error, count = _OUTCOME.unpack(worker.heard)
        data = b"" if error else worker.capture.value()
        self._loop.answer(
            frames.encode_reply(worker.number, error=error, totals=(count, 0), first=data)
        )

    def cancel(self, number: int) -> None:
        """End a worker; its request is answered with an error."""
        worker = self._workers.get(number)
        if worker is not None:
            os.kill(worker.process, signal.SIGKILL)

    def end_all(self) -> None:
        """End every worker."""
        for number in list(self._workers):
            self.cancel(number)


def _work(work: Any, output: int, outcome: int) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    keep_only((null, null, null, output, outcome))
    error, count = 0, 0
    try:
        count = work(_OUTPUT)
    except MemoryError:
        error = 12
    except OSError as failure:
        error = failure.errno or 5
    os.write(_OUTCOMES, _OUTCOME.pack(error, count))
    os._exit(0)
