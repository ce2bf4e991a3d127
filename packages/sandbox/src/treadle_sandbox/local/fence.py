"""What stands around one slot on the host: its control group, and the proxy that is its way out.

A fence belongs to the place of a slot and stays when the slot is reset: `take_in` each new slot
before it is told anything, `clear` after its end.
"""

import asyncio
import socket
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

    def take_in(self, process: int) -> None:
        """Put a slot's processes into its group: the given one and all below it.

        Call it while the slot waits for its first request. What they start later is in as well.

        Raises:
            SlotStartError: it can't be bounded.
        """
        if not self._group.is_real:
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
        if self._group.is_real and process not in self._group.processes():
            raise SlotStartError(f"process {process} of the slot isn't in its control group")

    def open_way_out(self, handover: socket.socket) -> None:
        """Serve the listening socket that the slot sent; `handover` is closed.

        Raises:
            SlotStartError: there is none, or not the one that was asked for.
        """
        assert self._policy is not None
        try:
            _, descriptors, _, _ = socket.recv_fds(handover, 1, 1)
        except OSError as error:
            raise SlotStartError(f"the slot sent no listening socket: {error}") from error
        finally:
            handover.close()
        if not descriptors:
            raise SlotStartError("the slot sent no listening socket")
        listener = socket.socket(fileno=descriptors[0])
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

    async def clear(self) -> bool:
        """Close the way out and kill what is left; return whether nothing is."""
        if self._proxy is not None:
            await self._proxy.aclose()
            self._proxy = None
        return not self._group.processes() or await asyncio.to_thread(self._group.clear)

    async def aclose(self) -> bool:
        """Clear and remove it; return whether nothing stays. May be called again."""
        return await self.clear() and (
            self._group.remove() or await asyncio.to_thread(self._group.end)
        )


def read_children(process: int) -> list[int]:
    """Return the processes that a process started and that still run.

    Raises:
        OSError: it is gone, or this kernel doesn't tell.
    """
    text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]
