"""The predecessor's slots and tools, on leases.

Its clients name slots `slot_0` to `slot_N-1` instead of holding leases. Each takes a lease when it
is first used and keeps it until the server ends; calls of one slot run one after another. An
`execution_id` is carried out once. What its tools said in text is said here in the same words:
output, then `[stderr]`, then `exit_code` in the metadata, which is -1 after a timeout.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from treadle_sandbox import errors
from treadle_sandbox.backend import Backend, Lease
from treadle_sandbox.records import ExecResult, Isolation
from treadle_sandbox.server.calls import Calls

OUTPUT_LIMIT = 50_000
FILE_LIMIT = 100_000

Reply = dict[str, Any]


@dataclass(slots=True)
class NamedSlot:
    """One slot of the predecessor's."""

    id: str
    lease: Lease | None = None
    state: str = "available"
    execution: str | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: Calls = field(default_factory=Calls)


class NamedSlots:
    """The slots of a server by the predecessor's names."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._slots: dict[str, NamedSlot] = {}
        self._tools: dict[str, Callable[[Lease, Reply, float], Awaitable[Reply]]] = {
            "bash": self._bash,
            "bash_stateful": _bash_stateful,
            "read_file": _read_file,
            "write_file": _write_file,
        }

    def all(self) -> list[NamedSlot]:
        """Return every slot, used or not."""
        return [self.find(f"slot_{n}") for n in range(self._backend.capabilities.slots)]

    def find(self, name: str) -> NamedSlot:
        """Return a slot. Raises LeaseClosedError when there is none of that name."""
        number = name.removeprefix("slot_")
        count = self._backend.capabilities.slots
        if not (number.isascii() and number.isdigit() and str(int(number[:6])) == number):
            raise errors.LeaseClosedError(f"Unknown slot: {name}")
        if int(number) >= count:
            raise errors.LeaseClosedError(f"Unknown slot: {name}; there are {count}")
        return self._slots.setdefault(name, NamedSlot(name))

    async def lease(self, slot: NamedSlot) -> Lease:
        """Return a slot's lease, taken when it has none."""
        if slot.lease is None:
            slot.lease = await self._backend.lease()
        return slot.lease

    async def execute(self, name: str, tool: str, args: Reply, timeout: float, run: str) -> Reply:
        """Run one tool in one slot; what goes wrong is told in the reply."""
        try:
            slot = self.find(name)
            async with slot.lock:
                slot.state, slot.execution = "executing", run
                try:
                    done = await self._use(slot, tool, args, timeout)
                finally:
                    slot.state, slot.execution = "available", None
        except errors.SandboxError as error:
            done = failed(str(error), error=type(error).__name__)
        return {**done, "execution_id": run}

    async def _use(self, slot: NamedSlot, tool: str, args: Reply, timeout: float) -> Reply:
        if tool == "tmux":
            return failed("the tmux tool isn't offered; open a terminal session from the client")
        if tool not in self._tools:
            return failed(f"Unknown tool: {tool}; there are {sorted(self._tools)}")
        lease = await self.lease(slot)
        try:
            return await self._tools[tool](lease, args, timeout)
        except errors.SlotLostError:
            await lease.aclose()
            slot.lease = None
            raise

    async def _bash(self, lease: Lease, args: Reply, timeout: float) -> Reply:
        confined = lease.isolation > Isolation.PROCESS
        network = self._backend.capabilities.network
        if args.get("require_sandbox") and not confined:
            return failed("Sandbox required, and this server isolates nothing", requires_bwrap=True)
        if not args.get("allow_network", True) and network:
            return failed("Network must be cut, and slots of this server reach it")
        result = await lease.shell(
            _text(args, "command"), timeout=timeout, output_limit=OUTPUT_LIMIT
        )
        return _told(result, sandboxed=confined, network_isolated=not network)

    async def reset(self, name: str) -> Reply:
        """Empty a slot."""
        try:
            slot = self.find(name)
            async with slot.lock:
                if slot.lease is not None:
                    await slot.lease.reset()
        except errors.SandboxError as error:
            return failed(str(error), error=type(error).__name__)
        return {"success": True, "output": f"Reset {name}", "error": "", "metadata": {}}

    async def aclose(self) -> None:
        """Give every lease back."""
        for slot in self._slots.values():
            await slot.calls.aclose()
            if slot.lease is not None:
                await slot.lease.aclose()


def failed(message: str, **metadata: Any) -> Reply:
    """Return the reply of a tool that couldn't run."""
    return {"success": False, "output": "", "error": message, "metadata": metadata}


async def _bash_stateful(lease: Lease, args: Reply, timeout: float) -> Reply:
    session = await lease.session("stateful")
    result = await session.run(_text(args, "command"), timeout=timeout, output_limit=OUTPUT_LIMIT)
    return _told(result, sandboxed=lease.isolation > Isolation.PROCESS, restarts=session.restarts)


async def _read_file(lease: Lease, args: Reply, timeout: float) -> Reply:
    data = await lease.read_file(_text(args, "path"), limit=FILE_LIMIT)
    text = data.decode("utf-8", "replace")
    return {"success": True, "output": text, "error": "", "metadata": {"size": len(data)}}


async def _write_file(lease: Lease, args: Reply, timeout: float) -> Reply:
    data = _text(args, "content").encode("utf-8", "replace")
    if len(data) > FILE_LIMIT:
        return failed(f"Content has {len(data)} bytes, more than {FILE_LIMIT}")
    await lease.write_file(_text(args, "path"), data)
    return {
        "success": True,
        "output": f"Wrote {len(data)} bytes to {args['path']}",
        "error": "",
        "metadata": {"size": len(data)},
    }


def _told(result: ExecResult, **metadata: Any) -> Reply:
    output = result.stdout.decode("utf-8", "replace")
    if result.stderr:
        output += f"\n[stderr]\n{result.stderr.decode('utf-8', 'replace')}"
    code = -1 if result.timed_out else result.exit_code
    why = "" if code == 0 else f"Exit code {code}"
    if result.timed_out:
        why = f"Timed out after {result.seconds:.1f} seconds"
    more = {"exit_code": code, "timeout": result.timed_out, "truncated": result.truncated}
    return {"success": code == 0, "output": output, "error": why, "metadata": {**more, **metadata}}


def _text(args: Reply, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str):
        raise errors.InvalidCommandError(f"args.{name} is {value!r}: give text")
    return value


def new_execution() -> str:
    """Return a name for an execution whose client gave none."""
    return f"exec_{time.monotonic_ns():x}"
