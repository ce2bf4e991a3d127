"""A background job as the slot knows it, and the requests that wait for it."""

import time
from typing import Any

from treadle_sandbox.slot.streams import Stream
from treadle_sandbox.slot.supervisors import Supervisor


class Waiter:
    """A request that is answered when something happens to its job, or at its deadline."""

    __slots__ = ("deadline", "expire", "request")

    def __init__(self, request: "dict[str, Any]", seconds: float, expire: Any) -> None:
        self.request = request
        self.deadline = time.monotonic() + seconds
        self.expire = lambda: expire(self)


class BackgroundJob:
    """One background job."""

    def __init__(self, name: str, request: "dict[str, Any]", supervisor: Supervisor) -> None:
        self.name = name
        self.supervisor = supervisor
        keep = request["keep"]
        self.streams = {
            "stdout": Stream(supervisor.output, keep),
            "stderr": Stream(supervisor.errors, keep),
        }
        self.started = time.monotonic()
        self.ended: float | None = None
        self.deadline = self.started + request["timeout"]
        self.code = 0
        self.timed_out = False
        self.killed = False
        self.waiters: list[Waiter] = []
        self.input = -1
        self.writes: list[tuple[int, memoryview, bool]] = []
        self.expire: Any = None

    def describe(self) -> bytes:
        """Return its state as a line of numbers after its name."""
        seconds = (self.ended or time.monotonic()) - self.started
        sizes = [stream.end for stream in self.streams.values()]
        running = int(self.ended is None)
        numbers = (running, self.code, int(self.timed_out), *sizes, int(seconds * 1e6))
        return f"{self.name} {' '.join(map(str, numbers))}\n".encode()
