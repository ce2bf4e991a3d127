"""Slots and tool calls under the names of the earlier system, over any backend.

`ToolBackend` gives whole slots to trajectories (`acquire`, `release`), runs batches of tool calls
in them (`execute_batch`) and reads what they made (`read_artifact`, `list_artifacts`,
`archive_artifacts`). A tool call that fails, also because its slot is lost, is a result with
`success` false. Files never pass from one trajectory to another.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from treadle_sandbox import artifacts, errors, toolcalls
from treadle_sandbox.artifacts import ArtifactArchive, ArtifactContent, ArtifactList
from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.tmuxtool import TmuxTool
from treadle_sandbox.toolcalls import ToolOutput

ToolRequest = tuple["Slot", str, Mapping[str, Any]]
"""A slot, the name of a tool, its arguments."""


class SlotState(StrEnum):
    """What a slot of a trajectory is doing."""

    AVAILABLE = "available"
    """Given back; or kept for its own trajectory."""
    ACQUIRED = "acquired"
    EXECUTING = "executing"
    RELEASING = "releasing"
    ERROR = "error"
    """Its server or its processes are gone; release it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """A slot that a trajectory uses."""

    slot_id: str
    trajectory_id: str
    workspace_dir: str
    """The working directory as commands see it."""
    lease: Lease
    state: SlotState = SlotState.ACQUIRED
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    running: int = 0
    """Tool calls that run now."""
    tmux: TmuxTool = field(init=False)
    """Its terminal."""

    def __post_init__(self) -> None:
        self.tmux = TmuxTool(self.lease)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """What a tool call gave."""

    success: bool
    output: str
    error: str
    execution_id: str
    slot_id: str
    metadata: Mapping[str, Any]


class ToolBackend:
    """The earlier system's interface to slots. Enter it, or call `start` and `stop`.

    `acquire_timeout` and `default_timeout_s` are in seconds.
    """

    def __init__(
        self, backend: Backend, *, default_timeout_s: float = 30.0, acquire_timeout: float = 30.0
    ) -> None:
        self.default_timeout_s = default_timeout_s
        self._backend = backend
        self._acquire_timeout = acquire_timeout
        self._slots: dict[str, Slot] = {}
        self._acquiring: dict[str, asyncio.Lock] = {}

    async def start(self) -> None:
        """Start the backend below."""
        await self._backend.__aenter__()

    async def stop(self) -> None:
        """Give every slot back and close the backend below. May be called again."""
        self._slots.clear()
        await self._backend.aclose()

    async def acquire(self, trajectory_id: str | None = None) -> Slot:
        """Return the slot of a trajectory: the one it has, else a free one with empty folders.

        Raises:
            LeaseTimeoutError: none became free in time.
        """
        name = trajectory_id or secrets.token_hex(8)
        lock = self._acquiring.setdefault(name, asyncio.Lock())
        async with lock:
            slot = self._slots.get(name)
            if slot is None or slot.state is SlotState.ERROR:
                if slot is not None:
                    await slot.lease.aclose()
                lease = await self._backend.lease(timeout=self._acquire_timeout)
                slot = Slot(
                    slot_id=lease.id, trajectory_id=name, workspace_dir=lease.workdir, lease=lease
                )
                self._slots[name] = slot
            slot.state = SlotState.ACQUIRED
        return slot

    async def release(self, slot: Slot, reset_workspace: bool = True) -> None:
        """Give a slot back; with `reset_workspace=False` it is kept, with its files, for the same
        trajectory's next `acquire`.
        """
        if not reset_workspace and slot.state is not SlotState.ERROR:
            slot.state = SlotState.AVAILABLE
            return
        slot.state = SlotState.RELEASING
        if self._slots.get(slot.trajectory_id) is slot:
            del self._slots[slot.trajectory_id]
        self._acquiring.pop(slot.trajectory_id, None)
        await slot.lease.aclose()
        slot.state = SlotState.AVAILABLE

    async def execute_batch(
        self, requests: Sequence[ToolRequest], *, timeout_s: float | None = None
    ) -> list[ExecutionResult]:
        """Run tool calls at the same time, those of one slot one after another; return their
        results in the order of the requests.
        """
        timeout = self.default_timeout_s if timeout_s is None else timeout_s
        results: list[ExecutionResult | None] = [None] * len(requests)
        by_slot: dict[Slot, list[int]] = {}
        for index, (slot, _, _) in enumerate(requests):
            by_slot.setdefault(slot, []).append(index)

        async def run(indexes: list[int]) -> None:
            for index in indexes:
                slot, tool, arguments = requests[index]
                results[index] = await self._execute(slot, tool, arguments, timeout)

        async with asyncio.TaskGroup() as group:
            for indexes in by_slot.values():
                group.create_task(run(indexes))
        return [result for result in results if result is not None]

    async def _execute(
        self, slot: Slot, tool: str, arguments: Mapping[str, Any], timeout: float
    ) -> ExecutionResult:
        with self._executing(slot):
            try:
                self._check(slot)
                toolcalls.check_policy(arguments, self._backend.capabilities)
                if tool == "tmux":
                    output = await slot.tmux.run(arguments, timeout)
                else:
                    output = await toolcalls.run_tool(slot.lease, tool, arguments, timeout=timeout)
            except errors.SandboxError as error:
                if isinstance(error, errors.SlotLostError | errors.LeaseExpiredError):
                    slot.state = SlotState.ERROR
                output = ToolOutput(success=False, error=str(error))
        return ExecutionResult(
            success=output.success,
            output=output.output,
            error=output.error,
            execution_id=secrets.token_hex(8),
            slot_id=slot.slot_id,
            metadata=output.metadata,
        )

    def _check(self, slot: Slot) -> None:
        if self._slots.get(slot.trajectory_id) is not slot:
            raise errors.LeaseClosedError(f"slot {slot.slot_id} was released; acquire one")

    @contextlib.contextmanager
    def _executing(self, slot: Slot) -> Generator[None]:
        slot.running += 1
        if slot.state is SlotState.ACQUIRED:
            slot.state = SlotState.EXECUTING
        try:
            yield
        finally:
            slot.running -= 1
            if not slot.running and slot.state is SlotState.EXECUTING:
                slot.state = SlotState.ACQUIRED

    async def read_artifact(
        self,
        slot: Slot,
        path: str,
        *,
        encoding: str = "text",
        max_bytes: int = artifacts.MAX_BYTES,
        include_sha256: bool = False,
    ) -> ArtifactContent:
        """Return the beginning of a file of a slot. Raises as `Lease.read_file`."""
        self._check(slot)
        return await artifacts.read_artifact(
            slot.lease, path, encoding=encoding, max_bytes=max_bytes, include_sha256=include_sha256
        )

    async def list_artifacts(
        self,
        slot: Slot,
        path: str = ".",
        *,
        recursive: bool = False,
        max_entries: int = artifacts.MAX_ENTRIES,
    ) -> ArtifactList:
        """Return the files and folders below a folder of a slot. Raises as `Lease.list_files`."""
        self._check(slot)
        return await artifacts.list_artifacts(
            slot.lease, path, recursive=recursive, max_entries=max_entries
        )

    async def archive_artifacts(
        self, slot: Slot, path: str = ".", *, max_bytes: int = artifacts.MAX_BYTES
    ) -> ArtifactArchive:
        """Return a folder of a slot as a `tar.gz`.

        Raises:
            FileTooLargeError: more than `max_bytes` unpacked.
        """
        self._check(slot)
        return await artifacts.archive_artifacts(slot.lease, path, max_bytes=max_bytes)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
