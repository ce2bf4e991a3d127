"""One running command of a slot, and the pipes around it."""

import os
import time
from typing import Any

from treadle_sandbox.slot import frames
from treadle_sandbox.slot.output import Capture


class Job:
    """One running command."""

    def __init__(self, request: "dict[str, Any]") -> None:
        self.number: int = request["id"]
        self.started = time.monotonic()
        self.deadline = self.started + request["timeout"]
        self.input = memoryview(request["stdin"])
        self.flags = 0
        self.killed = False
        self.command = 0
        self.status: int | None = None
        self.supervisor = 0
        self.input_pipe = -1
        self.report = -1
        self.captures: list[Capture] = []


def make_pipe() -> "tuple[int, int]":
    """Return a pipe that this side reads."""
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    return ends


def make_input_pipe() -> "tuple[int, int]":
    """Return a pipe that this side writes."""
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    return ends


def open_nothing() -> int:
    """Return an input that is at its end."""
    return os.open(os.devnull, os.O_RDONLY)


def close(descriptor: int) -> None:
    """Close a descriptor unless it is -1."""
    if descriptor >= 0:
        os.close(descriptor)


def exit_code(job: Job) -> int:
    """Return what the host is told: 124 for a timeout, 128 + n for signal n."""
    if job.flags & frames.TIMED_OUT:
        return 124
    if job.status is None or job.killed:
        return 137
    code = os.waitstatus_to_exitcode(job.status)
    return code if code >= 0 else 128 - code
