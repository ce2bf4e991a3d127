"""The scheduler: one thread that runs the network for all answers at once.

Answers join and leave between steps. Waiting ones are prefilled one per step, first come first
served, as rows become free; all running ones then advance by one token together. An answer's tokens
depend on nothing but its prompt and sampling. The thread owns the network; callers talk to it
through `submit` and `cancel`.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from treadle_embedded.errors import EmbeddedError, ModelClosedError, ModelFailedError
from treadle_embedded.network import Network
from treadle_embedded.sampling import Logits, Sampled, Sampler, Sampling


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """A stop id was drawn, or a stop string was written."""
    LENGTH = "length"
    """`max_tokens` were drawn, or the context is full."""


Outcome = Sampled | FinishReason | EmbeddedError
"""What a job reports: tokens, then why it ended or what broke."""


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One answer while it is made. Written by the scheduler's thread alone, except `cancelled`."""

    prompt: list[int]
    sampling: Sampling
    report: Callable[[Outcome], None]
    """Called on the scheduler's thread; must not block."""
    cancelled: bool = False
    drawn: int = 0
    last: int = 0
    sampler: Sampler = field(init=False)

    def __post_init__(self) -> None:
        self.sampler = Sampler(self.sampling)

    @property
    def length(self) -> int:
        """Positions in the cache: all but the last drawn token."""
        return len(self.prompt) + self.drawn - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """A snapshot of the scheduler."""

    running: int
    waiting: int
    prompt_tokens: int
    """Prefilled since the start."""
    drawn_tokens: int
    """Drawn since the start."""


class Engine:
    """Runs jobs until it is closed."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._wake = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._closed = False
        self._prompt_tokens = self._drawn_tokens = 0
        self._thread = threading.Thread(target=self._work, name="treadle-embedded", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job. Raises: ModelClosedError."""
        with self._wake:
            if self._closed:
                raise ModelClosedError("the embedded model is closed; open a new one")
            self._waiting.append(job)
            self._wake.notify()

    def cancel(self, job: Job) -> None:
        """Drop a job at the next step; nothing more is reported for it."""
        job.cancelled = True

    def close(self) -> None:
        """End every job with ModelClosedError and wait for the thread, one step at most."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def statistics(self) -> EngineStatistics:
        """Take a snapshot."""
        return EngineStatistics(
            running=len(self._running),
            waiting=len(self._waiting),
            prompt_tokens=self._prompt_tokens,
            drawn_tokens=self._drawn_tokens,
        )

    def _work(self) -> None:
        failure: EmbeddedError = ModelClosedError("the embedded model was closed")
        try:
            while self._wait_for_work():
                self._admit()
                self._advance()
        except Exception as error:  # noqa: BLE001  (the thread's boundary: callers must hear of it)
            failure = ModelFailedError(f"the network failed: {error!r}; restart the server")
        with self._wake:
            self._closed = True
            left = [*self._running, *self._waiting]
            self._running.clear()
            self._waiting.clear()
        for job in left:
            job.report(failure)

    def _wait_for_work(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._waiting or self._running)
            return not self._closed

    def _admit(self) -> None:
        """Prefill the next waiting job when a row is free."""
        with self._wake:
            while self._waiting and self._waiting[0].cancelled:
                self._waiting.popleft()
            if not self._waiting or len(self._running) == self._network.rows:
                return
            job = self._waiting.popleft()
            self._running.append(job)
        row = len(self._running) - 1
        logits = self._network.extend(row, 0, job.prompt)[-1]
        self._prompt_tokens += len(job.prompt)
        if self._draw(job, logits):
            self._running.pop()

    def _advance(self) -> None:
        """Draw one token for every running job."""
        self._release([row for row, job in enumerate(self._running) if job.cancelled])
        if not self._running:
            return
        tokens = [job.last for job in self._running]
        lengths = [job.length for job in self._running]
        logits = self._network.step(tokens, lengths)
        done = [row for row, job in enumerate(self._running) if self._draw(job, logits[row])]
        self._release(done)

    def _draw(self, job: Job, logits: Logits) -> bool:
        """Draw and report a token; return whether the job has ended."""
        sampled = job.sampler.draw(logits)
        job.drawn += 1
        job.last = sampled.token
        self._drawn_tokens += 1
        if job.cancelled:
            return True
        job.report(sampled)
        if sampled.token in job.sampling.stop_ids:
            job.report(FinishReason.STOP)
            return True
        full = len(job.prompt) + job.drawn >= self._network.context
        if full or job.drawn >= job.sampling.max_tokens:
            job.report(FinishReason.LENGTH)
            return True
        return False

    def _release(self, rows: list[int]) -> None:
        """Free rows; the last running row moves into each gap."""
        for row in reversed(rows):
            last = len(self._running) - 1
            if row != last:
                self._network.move(last, row, self._running[last].length)
                self._running[row] = self._running[last]
            self._running.pop()
