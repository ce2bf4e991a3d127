"""Calls that run once.

A call with a name (`idempotency-key`) is carried out once: the same name again joins the call that
runs, or gets the same answer. Answers are held for `KEEP_SECONDS`, at most `KEEP_BYTES` of them for
one lease; a name outlives its answer, and is then refused instead of run again. A call whose
clients are all gone ends after a grace, in which a client may come back for it.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from typing import Any

from treadle_sandbox import errors
from treadle_sandbox.server.answers import Answer, answer_error, guard

KEEP_SECONDS = 120.0
KEEP_BYTES = 16_000_000
KEEP_CALLS = 2048

Work = Callable[[], Coroutine[Any, Any, Answer]]


class Call:
    """One call that runs or ran."""

    __slots__ = ("_book", "answer", "born", "ended", "task", "timer", "watchers")

    def __init__(self, book: "Calls") -> None:
        self._book = book
        self.task: asyncio.Task[None] | None = None
        self.answer: Answer | None = None
        self.ended = False
        self.watchers = 0
        self.timer: asyncio.TimerHandle | None = None
        self.born = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether its work goes on."""
        return self.task is not None and not self.task.done()

    def when_done(self, tell: "Callable[[Call], None]") -> None:
        """Call back when it doesn't run any more."""
        if self.task is None:
            tell(self)
        else:
            self.task.add_done_callback(lambda _: tell(self))

    def leave(self) -> None:
        """Say that a client is gone or has its answer."""
        self._book.leave(self)

    def result(self) -> Answer:
        """Return the answer of a call that doesn't run any more."""
        if self.answer is not None:
            return self.answer
        why = "was ended on request, or since its client went away"
        if not self.ended:
            why = "ran before, and its answer isn't held any more"
        return answer_error(errors.ServerError(f"the call {why}"), 409)


class Calls:
    """The calls of one lease. `finish` says whether a call without clients goes on."""

    def __init__(self, *, finish: bool = False, grace: float = 1.0) -> None:
        self._finish = finish
        self._grace = grace
        self._named: OrderedDict[str, Call] = OrderedDict()
        self._answered: deque[Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0
        self.replays = 0

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self._tasks)

    def begin(self, name: str | None, work: Work) -> Call:
        """Start a call, or join the one of that name. The caller watches it until `leave`."""
        if name is not None:
            known = self._named.get(name)
            if known is not None:
                self.replays += 1
                self._join(known)
                return known
            self._prune()
        call = Call(self)
        call.watchers = 1
        task = asyncio.get_running_loop().create_task(self._run(call, work, name is not None))
        call.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if name is not None:
            self._named[name] = call
        return call

    def _join(self, call: Call) -> None:
        call.watchers += 1
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None

    async def _run(self, call: Call, work: Work, hold: bool) -> None:
        call.answer = answer = await guard(work())
        if hold:
            self._answered.append(call)
            self._held += len(answer.body)

    def leave(self, call: Call) -> None:
        """Say that a client is gone or has its answer."""
        call.watchers -= 1
        if call.watchers or self._finish or not call.running:
            return
        call.timer = asyncio.get_running_loop().call_later(self._grace, self._abandon, call)

    def _abandon(self, call: Call) -> None:
        if not call.watchers and call.task is not None:
            call.ended = True
            call.task.cancel()

    async def cancel(self, name: str) -> None:
        """End a call and wait until it has ended; one that comes later is refused."""
        call = self._named.get(name)
        if call is None:
            self._prune()
            self._named[name] = call = Call(self)
            call.ended = True
        if call.running and call.task is not None:
            call.ended = True
            call.task.cancel()
            await asyncio.wait({call.task})

    def forget(self, name: str) -> None:
        """Let a name be used again."""
        call = self._named.pop(name, None)
        if call is not None:
            self._forget(call)

    def _prune(self) -> None:
        """Let go of what is old or too much, answers before names."""
        while self._held > KEEP_BYTES and len(self._answered) > 1:
            self._forget(self._answered.popleft())
        limit = time.monotonic() - KEEP_SECONDS
        while self._named:
            name, call = next(iter(self._named.items()))
            if call.born >= limit and len(self._named) < KEEP_CALLS:
                return
            if call.running:
                call.born = time.monotonic()
                self._named.move_to_end(name)
                return
            del self._named[name]
            while self._answered and self._answered[0].born < limit:
                self._forget(self._answered.popleft())

    def _forget(self, call: Call) -> None:
        if call.answer is not None:
            self._held -= len(call.answer.body)
            call.answer = None

    async def aclose(self) -> None:
        """End every call that runs."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
