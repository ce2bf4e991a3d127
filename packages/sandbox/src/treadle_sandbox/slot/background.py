"""Background jobs: commands with an open standard input whose output is read by offset.

Each stream keeps its last bytes; a reader that comes too late sees a gap. Jobs that have ended are
remembered until the slot is reset, the oldest without their output once there are many.
"""

# pathlib would double the start-up time of a slot.
# ruff: noqa: PTH112

import os
import signal
import time
from typing import Any

from treadle_sandbox.slot import frames, processes
from treadle_sandbox.slot.commands import status_to_code
from treadle_sandbox.slot.jobs import BackgroundJob, Waiter
from treadle_sandbox.slot.loop import WRITE, Loop
from treadle_sandbox.slot.streams import Stream
from treadle_sandbox.slot.supervisors import NO_WORKDIR, REPORT, Supervisor

_PIECE = 65_536
_DRAIN_MOST = 1 << 20
_KEPT_MOST = 64
_JOBS_MOST = 10_000
_SOON = 0.002


class Background:
    """The background jobs of one slot."""

    def __init__(self, loop: Loop, setting: "dict[str, Any]") -> None:
        self._loop = loop
        self._setting = setting
        self._jobs: dict[str, BackgroundJob] = {}

    def start(self, request: "dict[str, Any]") -> None:
        """Start a job; answer with its state."""
        user, number = request["user"], request["id"]
        if not os.path.isdir(request["workdir"]):
            self._loop.answer(frames.encode_reply(number, error=frames.BAD_WORKDIR))
            return
        if len(self._jobs) >= _JOBS_MOST:
            del self._jobs[next(name for name, job in self._jobs.items() if job.ended)]
        source, feed = os.pipe()
        try:
            supervisor = Supervisor(
                request["command"], self._setting, user=user, source=source, alone=True
            )
        except OSError:
            os.close(feed)
            raise
        finally:
            os.close(source)
        job = BackgroundJob(str(number), request, supervisor)
        job.expire = lambda: self._expire(job)
        os.set_blocking(feed, False)
        job.input = feed
        self._jobs[job.name] = job
        for stream in job.streams.values():
            self._loop.watch(stream.descriptor, self._collect, (job, stream))
        self._loop.watch(supervisor.report, self._learn, job)
        if request["timeout"] < float("inf"):
            self._loop.time(job)
        self._loop.answer(frames.encode_reply(number, first=job.describe()))

    def _collect(self, subject: "tuple[BackgroundJob, Stream]") -> None:
        job, stream = subject
        stream.read()
        if not stream.open:
            self._loop.forget(stream.descriptor)
            stream.descriptor = -1
        self._tell(job)

    def _learn(self, job: BackgroundJob) -> None:
        try:
            data = os.read(job.supervisor.report, REPORT.size)
        except BlockingIOError:
            return
        status = REPORT.unpack(data)[0] if len(data) == REPORT.size else None
        if status is None and job.supervisor.command and not job.killed:
            processes.kill_below(job.supervisor.command, spare_root=False)
        gone = status is None or job.killed or status == NO_WORKDIR
        job.code = 137 if gone else status_to_code(status or 0)
        if job.timed_out:
            job.code = 124
        self._finish(job)

    def _finish(self, job: BackgroundJob) -> None:
        job.ended = time.monotonic()
        self._loop.untime(job)
        for stream in job.streams.values():
            room = _DRAIN_MOST
            while stream.open and room > 0 and (size := stream.read()):
                room -= size
            if stream.open:
                self._loop.discard(stream.descriptor)
                stream.open = False
            elif stream.descriptor >= 0:
                self._loop.forget(stream.descriptor)
            stream.descriptor = -1
        self._close_input(job)
        self._loop.forget(job.supervisor.report)
        job.supervisor.close()
        self._tell(job)
        ended = [one for one in self._jobs.values() if one.ended is not None]
        for old in ended[:-_KEPT_MOST]:
            for stream in old.streams.values():
                stream.drop(stream.end - stream.begin)

    def _close_input(self, job: BackgroundJob) -> None:
        self._loop.forget(job.input)
        job.input = -1
        for number, _, _ in job.writes:
            self._loop.answer(frames.encode_reply(number, error=frames.CLOSED))
        job.writes.clear()

    def _find(self, request: "dict[str, Any]") -> "BackgroundJob | None":
        job = self._jobs.get(request["job"])
        if job is None:
            self._loop.answer(frames.encode_reply(request["id"], error=frames.NO_JOB))
        return job

    def state(self, request: "dict[str, Any]") -> None:
        """Answer with a job's state."""
        job = self._find(request)
        if job is not None:
            self._loop.answer(frames.encode_reply(request["id"], first=job.describe()))

    def list(self, request: "dict[str, Any]") -> None:
        """Answer with the states of all jobs."""
        states = b"".join(job.describe() for job in self._jobs.values())
        self._loop.answer(frames.encode_reply(request["id"], first=states))

    def wait(self, request: "dict[str, Any]") -> None:
        """Answer with a job's state when it has ended."""
        self._await(request)

    def read(self, request: "dict[str, Any]") -> None:
        """Answer with a piece of a stream, as soon as there is one."""
        self._await(request)

    def _await(self, request: "dict[str, Any]") -> None:
        job = self._find(request)
        if job is None:
            return

        def expire(waiter: Waiter) -> None:
            self._reply(job, waiter)

        waiter = Waiter(request, request["wait"], expire)
        job.waiters.append(waiter)
        if request["wait"] <= 0 or self._is_due(job, waiter):
            self._reply(job, waiter)
        elif request["wait"] < float("inf"):
            self._loop.time(waiter)

    def _is_due(self, job: BackgroundJob, waiter: Waiter) -> bool:
        if job.ended is not None:
            return True
        request = waiter.request
        return request["op"] == "job_read" and (
            job.streams[request["stream"]].end > request["offset"]
            or not job.streams[request["stream"]].open
        )

    def _tell(self, job: BackgroundJob) -> None:
        for waiter in [waiter for waiter in job.waiters if self._is_due(job, waiter)]:
            self._reply(job, waiter)

    def _reply(self, job: BackgroundJob, waiter: Waiter) -> None:
        job.waiters.remove(waiter)
        self._loop.untime(waiter)
        request = waiter.request
        number = request["id"]
        if request["op"] == "job_wait":
            self._loop.answer(frames.encode_reply(number, first=job.describe()))
            return
        begin, piece = job.streams[request["stream"]].cut(request["offset"], request["limit"])
        flags = 0 if job.ended is None else frames.ENDED
        self._loop.answer(frames.encode_reply(number, flags=flags, totals=(begin, 0), first=piece))

    def write(self, request: "dict[str, Any]") -> None:
        """Write to a job's standard input; answer when all of it is written."""
        job = self._find(request)
        if job is None:
            return
        if job.input < 0:
            self._loop.answer(frames.encode_reply(request["id"], error=frames.CLOSED))
            return
        job.writes.append((request["id"], memoryview(request["data"]), request["end"]))
        self._loop.leave(job.input)
        self._loop.watch(job.input, self._feed, job, WRITE)
        self._feed(job)

    def _feed(self, job: BackgroundJob) -> None:
        try:
            while job.writes:
                number, data, end = job.writes[0]
                if data:
                    data = data[os.write(job.input, data[:_PIECE]) :]
                if data:
                    job.writes[0] = (number, data, end)
                    continue
                job.writes.pop(0)
                self._loop.answer(frames.encode_reply(number))
                if end:
                    self._close_input(job)
        except BlockingIOError:
            return
        except OSError:
            self._close_input(job)
            return
        self._loop.leave(job.input)

    def kill(self, request: "dict[str, Any]") -> None:
        """Signal a job's process group; 9 ends everything below it."""
        job = self._find(request)
        if job is None:
            return
        command = job.supervisor.command if job.ended is None else 0
        if job.ended is None and request["signal"] == signal.SIGKILL:
            self._end(job)
        elif job.ended is None and not command:
            self._loop.time(Waiter(request, _SOON, self._kill_again))
            return
        elif command:
            processes.signal_all([-command], request["signal"])
        self._loop.answer(frames.encode_reply(request["id"]))

    def _kill_again(self, waiter: Waiter) -> None:
        self.kill(waiter.request)

    def _expire(self, job: BackgroundJob) -> None:
        job.timed_out = True
        self._end(job)

    def cancel(self, number: int) -> None:
        """Forget a request that waits, or end the job that it started."""
        started = self._jobs.get(str(number))
        if started is not None:
            self._end(started)
        for job in self._jobs.values():
            for waiter in [one for one in job.waiters if one.request["id"] == number]:
                self._reply(job, waiter)
            for write in [one for one in job.writes if one[0] == number]:
                job.writes.remove(write)
                self._loop.answer(frames.encode_reply(number))

    def _end(self, job: BackgroundJob) -> None:
        if job.killed or job.ended is not None:
            return
        job.killed = True
        pid, command = job.supervisor.pid, job.supervisor.command
        for root in (pid,) if processes.IS_LINUX else (command, pid):
            if root:
                processes.kill_below(root, spare_root=False)

    def end_all(self) -> None:
        """End every job; their states and output are kept."""
        for job in list(self._jobs.values()):
            self._end(job)
