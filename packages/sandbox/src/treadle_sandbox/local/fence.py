"""What stands around one slot on the host: its control group, and the proxy that is its way out.

Made before the slot and closed after it. A slot joins its group before it does anything else:
either itself, through `gates`, or by `take_in` while it waits for its first request.
"""

import asyncio
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from treadle_sandbox.cgroups import Group
from treadle_sandbox.errors import SlotStartError
from treadle_sandbox.network import PROXY_PORT, AllowListProxy, Policy
from treadle_sandbox.network.dial import Resolve


class Fence:
    """The host's side of one slot. `Surroundings.around` makes it."""

    def __init__(self, group: Group, policy: Policy | None, resolve: Resolve) -> None:
        self._group = group
        self._policy = policy
        self._resolve = resolve
        self._proxy: AllowListProxy | None = None

    @property
    def has_way_out(self) -> bool:
        """Whether the slot is to hand over a listening socket: see `slot.wayout`."""
        return self._policy is not None

    @contextmanager
    def gates(self) -> Generator[tuple[int, ...]]:
        """Open the files that a process writes `0` to for joining the group.

        Raises:
            SlotStartError: they can't be opened.
        """
        opened: list[int] = []
        try:
            for path in self._group.paths:
                opened.append(os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
            yield tuple(opened)
        except OSError as error:
            raise SlotStartError(f"can't open the slot's control group: {error}") from error
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def take_in(self, process: int) -> None:
        """Put a slot's processes into its group: the given one and all below it.

        Call it while the slot waits for its first request. What they start later is in as well.

        Raises:
            SlotStartError: it can't be bounded.
        """
        if not self._group.paths:
            return
        found = [process]
        try:
            for number in found:
                self._group.add(number)
                found += read_children(number)
        except OSError as error:
            raise SlotStartError(f"can't put the slot into its control group: {error}") from error

    def check(self, process: int) -> None:
        """Raise SlotStartError unless a process of the slot is in its group."""
        if self._group.paths and process not in self._group.processes():
            raise SlotStartError(f"process {process} of the slot isn't in its control group")

    def serve(self, listener: socket.socket) -> None:
        """Serve the listening socket that the slot sent, until `aclose`.

        Raises:
            SlotStartError: it isn't the one that was asked for.
        """
        assert self._policy is not None
        if listener.getsockname() != ("127.0.0.1", PROXY_PORT):
            listener.close()
            raise SlotStartError("the slot sent another socket than asked for")
        self._proxy = AllowListProxy(listener, self._policy, resolve=self._resolve)
        self._proxy.start()

    def out_of_memory_kills(self) -> int:
        """Return how many processes were killed here for lack of memory so far."""
        return self._group.out_of_memory_kills()

    def kill(self) -> None:
        """Kill every process of the slot."""
        self._group.kill()

    async def aclose(self) -> bool:
        """Close the way out, kill what is left, and remove the group; return whether nothing stays.

        May be called again.
        """
        if self._proxy is not None:
            await self._proxy.aclose()
            self._proxy = None
        return self._group.remove() or await asyncio.to_thread(self._group.end)


def read_children(process: int) -> list[int]:
    """Return the processes that a process started and that still run.

    Raises:
        OSError: it is gone, or this kernel doesn't tell.
    """
    text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]
