"""A backend for users' tests: no processes, scripted answers, files in memory.

`FakeBackend(respond)` asks `respond(call)` for the outcome of every command: an `ExecResult`, or
bytes for standard output, or a number for an exit code. Everything asked is kept in `calls`.
Waiting, leases, files, snapshots and forks behave as the protocol says, so code under test runs
against it unchanged; it isolates nothing and runs nothing, so it is no backend for the conformance
suite's commands.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

from treadle_sandbox import errors
from treadle_sandbox.records import (
    Capabilities,
    ExecResult,
    Isolation,
    Limits,
    Snapshot,
    Statistics,
)
from treadle_sandbox.testing.fake_lease import FakeLease


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCall:
    """One command that was asked for."""

    lease: str
    kind: str
    """`exec`, `shell`, `session` or `start`."""
    argv: tuple[str, ...]
    """The command; one word, the script, for `shell` and `session`."""
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    workdir: str | None = None
    timeout: float | None = None


Answer = ExecResult | bytes | int
Respond = Callable[[FakeCall], Answer]


def _succeed(call: FakeCall) -> Answer:
    return 0


def outcome(answer: Answer) -> ExecResult:
    """Return the result that an answer stands for."""
    if isinstance(answer, ExecResult):
        return answer
    stdout = answer if isinstance(answer, bytes) else b""
    return ExecResult(
        exit_code=answer if isinstance(answer, int) else 0,
        stdout=stdout,
        stderr=b"",
        timed_out=False,
        truncated=False,
        stdout_bytes=len(stdout),
        stderr_bytes=0,
        seconds=0.0,
        isolation=Isolation.PROCESS,
    )


class FakeBackend:
    """Slots that answer from a script. `respond` may raise, to play infrastructure that dies."""

    def __init__(self, respond: Respond = _succeed, *, slots: int = 4) -> None:
        self._respond = respond
        self._slots = slots
        self._free = asyncio.Semaphore(slots)
        self._open: dict[str, FakeLease] = {}
        self._snapshots: dict[str, Mapping[str, bytes]] = {}
        self._waiting = 0
        self._leases = 0
        self.calls: list[FakeCall] = []
        """Every command, in order."""

    @property
    def capabilities(self) -> Capabilities:
        """Everything that costs nothing, and no isolation."""
        return Capabilities(
            backend="fake",
            isolation=Isolation.PROCESS,
            slots=self._slots,
            network=False,
            separate_user=False,
            limits=Limits(),
            unlimited=tuple(field.name for field in fields(Limits)),
            snapshots=True,
        )

    async def lease(
        self,
        *,
        timeout: float = 30.0,
        lifetime: float | None = None,
        snapshot: Snapshot | None = None,
    ) -> FakeLease:
        """Wait for a free slot; see `treadle_sandbox.Backend.lease`. A lifetime never ends here."""
        files = dict(self.files_of(snapshot)) if snapshot else {}
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout):
                await self._free.acquire()
        except TimeoutError:
            raise errors.LeaseTimeoutError(f"no slot became free within {timeout:g} s") from None
        finally:
            self._waiting -= 1
        self._leases += 1
        lease = FakeLease(self, name=f"fake-{self._leases}", files=files)
        self._open[lease.id] = lease
        return lease

    def answer(self, call: FakeCall) -> ExecResult:
        """Note a command and return its outcome."""
        self.calls.append(call)
        return outcome(self._respond(call))

    def give_back(self, lease: FakeLease) -> None:
        """Take a closed lease's slot back."""
        del self._open[lease.id]
        self._free.release()

    def keep(self, files: Mapping[str, bytes]) -> Snapshot:
        """Keep files as a snapshot."""
        name = f"snapshot-{len(self._snapshots) + 1}"
        self._snapshots[name] = dict(files)
        size = sum(len(data) for data in files.values())
        return Snapshot(id=name, bytes=size, files=len(files))

    def files_of(self, snapshot: Snapshot) -> Mapping[str, bytes]:
        """Return a snapshot's files. Raises SnapshotNotFoundError."""
        if snapshot.id not in self._snapshots:
            raise errors.SnapshotNotFoundError(f"no snapshot {snapshot.id!r} here")
        return self._snapshots[snapshot.id]

    async def discard(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        self._snapshots.pop(snapshot.id, None)

    def statistics(self) -> Statistics:
        """Return the present state and the counters."""
        return Statistics(
            slots=self._slots,
            leased=len(self._open),
            waiting=self._waiting,
            quarantined=0,
            leases=self._leases,
            execs=len(self.calls),
            running=0,
            timeouts=0,
            failures={},
        )

    async def aclose(self) -> None:
        """Close every lease. May be called again."""
        for lease in list(self._open.values()):
            await lease.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def script_of(answers: Sequence[Answer]) -> Respond:
    """Return a `respond` that gives the answers one after another, then raises.

    Raises (when called too often):
        AssertionError: more commands were run than there are answers.
    """
    left = list(answers)

    def respond(call: FakeCall) -> Answer:
        assert left, f"no answer is left for {call.argv}"
        return left.pop(0)

    return respond
