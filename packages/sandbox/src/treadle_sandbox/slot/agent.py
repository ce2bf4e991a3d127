"""The slot's first process: takes requests from the host, runs commands, serves files, ends with
the host.

One thread and one `poll`: requests of one slot run at the same time without holding each other. The
process is process 1 of the slot where there are namespaces, so orphans come to it, signals from
inside can't end it, and the kernel kills whatever is left when it exits. It exits as soon as the
host closes the socket.
"""

# pathlib would double the start-up time of a slot.

import gc
import os
import select
import signal
import time
from typing import Any

from treadle_sandbox.slot import files, frames, processes
from treadle_sandbox.slot.jobs import (
    Job,
    close,
    exit_code,
    make_input_pipe,
    make_pipe,
    open_nothing,
)
from treadle_sandbox.slot.output import Capture

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_DRAIN_MOST = 1 << 20


class Agent:
    """Serves one control socket until its other end is closed."""

    def __init__(self, control: int, config: "dict[str, Any]") -> None:
        self._control = control
        self._root: str = config["root"]
        self._requests = frames.RequestReader()
        self._answers = bytearray()
        self._jobs: dict[int, Job] = {}
        self._watched: dict[int, tuple[Any, Any]] = {}
        self._poll = select.poll()

    def run(self, greeting: bytes) -> None:
        """Send the greeting, then serve until the host is gone."""
        os.set_blocking(self._control, False)
        wake, waker = make_pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        self._poll.register(self._control, select.POLLIN)
        self._watch(wake, self._reap, wake)
        self._answer(frames.encode_reply(0, first=greeting))
        gc.collect()
        gc.freeze()
        while True:
            for descriptor, events in self._poll.poll(self._wait()):
                if descriptor == self._control:
                    if not self._talk(events):
                        return
                elif descriptor in self._watched:
                    handler, subject = self._watched[descriptor]
                    handler(subject)
            self._expire()

    def _wait(self) -> "float | None":
        deadlines = [job.deadline for job in self._jobs.values() if not job.killed]
        if not deadlines:
            return None
        soonest = min(deadlines)
        return max(0.0, soonest - time.monotonic()) * 1000 + 1

    def _watch(
        self, descriptor: int, handler: Any, subject: Any, events: int = select.POLLIN
    ) -> None:
        self._watched[descriptor] = (handler, subject)
        self._poll.register(descriptor, events)

    def _forget(self, descriptor: int) -> None:
        del self._watched[descriptor]
        self._poll.unregister(descriptor)
        os.close(descriptor)

    def _talk(self, events: int) -> bool:
        if events & _READABLE:
            try:
                data = os.read(self._control, 1 << 20)
            except BlockingIOError:
                data = None
            except OSError:
                return False
            if data == b"":
                return False
            for request in self._requests.feed(data or b""):
                self._handle(request)
        if events & select.POLLOUT:
            self._answer(b"")
        return True

    def _answer(self, reply: bytes) -> None:
        self._answers += reply
        try:
            while self._answers:
                del self._answers[: os.write(self._control, self._answers[: 1 << 20])]
        except BlockingIOError:
            self._poll.modify(self._control, select.POLLIN | select.POLLOUT)
            return
        except OSError:
            self._answers.clear()
        self._poll.modify(self._control, select.POLLIN)

    def _handle(self, request: "dict[str, Any]") -> None:
        try:
            if request["op"] == "exec":
                self._start(request)
            elif request["op"] == "cancel":
                self._end(self._jobs.get(request["target"]))
            else:
                self._answer(self._serve(request))
        except (OSError, MemoryError) as error:
            code = getattr(error, "errno", None) or 12
            self._answer(frames.encode_reply(request["id"], error=code))

    def _serve(self, request: "dict[str, Any]") -> bytes:
        operation, number = request["op"], request["id"]
        data = b""
        if operation == "read":
            data = files.read(self._root, request["path"], request["limit"])
        elif operation == "write":
            files.write(self._root, request["path"], request["data"], request["mode"])
        elif operation == "list":
            data = files.list_below(self._root, request["path"])
        elif operation == "kill":
            return frames.encode_reply(number, flags=0 if self._empty() else frames.UNFIT)
        return frames.encode_reply(number, first=data)

    def _start(self, request: "dict[str, Any]") -> None:
        if not os.path.isdir(request["workdir"]):
            self._answer(frames.encode_reply(request["id"], error=frames.BAD_WORKDIR))
            return
        job = Job(request)
        pipes = [make_pipe() for _ in range(3)]
        (output, output_end), (errors, errors_end), (job.report, report_end) = pipes
        source, job.input_pipe = make_input_pipe() if job.input else (open_nothing(), -1)
        ends = (source, output_end, errors_end)
        highest = max(
            *self._watched, *ends, *(pipe[0] for pipe in pipes), report_end, job.input_pipe
        )
        try:
            job.supervisor = processes.start(request, ends, report_end, highest)
        except OSError:
            for descriptor in (output, errors, job.report, job.input_pipe):
                close(descriptor)
            raise
        finally:
            for descriptor in (*ends, report_end):
                close(descriptor)
        self._jobs[job.number] = job
        job.captures = [Capture(end, request["output_limit"]) for end in (output, errors)]
        for capture in job.captures:
            self._watch(capture.descriptor, self._collect, capture)
        self._watch(job.report, self._learn, job)
        if job.input:
            self._watch(job.input_pipe, self._feed, job, select.POLLOUT)

    def _collect(self, capture: Capture) -> None:
        capture.read()
        if not capture.open:
            self._forget(capture.descriptor)

    def _feed(self, job: Job) -> None:
        try:
            job.input = job.input[os.write(job.input_pipe, job.input[:65_536]) :]
        except BlockingIOError:
            return
        except OSError:
            job.input = job.input[:0]
        if not job.input:
            self._forget(job.input_pipe)
            job.input_pipe = -1

    def _learn(self, job: Job) -> None:
        try:
            data = os.read(job.report, processes.NUMBER.size)
        except BlockingIOError:
            return
        if not data:
            self._finish(job)
        elif not job.command:
            (job.command,) = processes.NUMBER.unpack(data)
        else:
            (job.status,) = processes.NUMBER.unpack(data)

    def _finish(self, job: Job) -> None:
        del self._jobs[job.number]
        self._forget(job.report)
        if job.status is None and job.command and not job.killed:
            processes.kill_below(job.command, spare_root=False)
        if job.input_pipe >= 0:
            self._forget(job.input_pipe)
        for capture in [capture for capture in job.captures if capture.open]:
            capture.drain(_DRAIN_MOST)
            if not capture.open:
                self._forget(capture.descriptor)
            else:
                self._watched[capture.descriptor] = (self._discard, capture.descriptor)
        output, errors = job.captures
        flags = job.flags | (frames.TRUNCATED if output.truncated or errors.truncated else 0)
        reply = frames.encode_reply(
            job.number,
            exit_code=exit_code(job),
            flags=flags,
            totals=(output.total, errors.total),
            microseconds=int((time.monotonic() - job.started) * 1e6),
            first=output.value(),
            second=errors.value(),
        )
        self._answer(reply)

    def _discard(self, descriptor: int) -> None:
        """Keep a background process that still writes from blocking or from dying of a closed
        pipe.
        """
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._forget(descriptor)

    def _expire(self) -> None:
        now = time.monotonic()
        for job in [job for job in self._jobs.values() if job.deadline <= now and not job.killed]:
            job.flags |= frames.TIMED_OUT
            self._end(job)

    def _end(self, job: "Job | None") -> None:
        if job is None or job.killed:
            return
        job.killed = True
        for root in (job.supervisor,) if processes.IS_LINUX else (job.command, job.supervisor):
            if root and not processes.kill_below(root, spare_root=False):
                job.flags |= frames.UNFIT

    def _empty(self) -> bool:
        for job in list(self._jobs.values()):
            self._end(job)
        return processes.kill_below(os.getpid(), spare_root=True) if processes.IS_LINUX else True

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
        return self._empty()


def _ignore(number: int, frame: object) -> None:
    """Stand for a handler, so that the signal wakes the poll."""
