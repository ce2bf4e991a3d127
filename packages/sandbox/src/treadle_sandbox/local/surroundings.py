"""What a backend puts around its slots: control groups and the network allow-list.

Bounds that were asked for and can't be held are refused at the start. Where this process may make
no control groups, slots have none, and `unlimited` names what so isn't bounded.
"""

import asyncio
import dataclasses
from collections.abc import Sequence

from treadle_sandbox.cgroups import Bounds, Controller, Driver, find_driver
from treadle_sandbox.errors import SlotStartError
from treadle_sandbox.local.fence import Fence
from treadle_sandbox.network import Policy, SystemResolver, proxy_environment
from treadle_sandbox.records import Isolation, Limits

_OWN_PROCESSES = 16
"""Room for the slot's own processes beside those of its commands."""
_DISK_PARTS = 4
"""A slot has three writable places in memory; a quarter of the memory stays for processes."""


def fit(limits: Limits) -> Limits:
    """Return limits whose files can't use up the slot's memory: a full disk then is no
    out-of-memory kill.
    """
    if limits.slot_memory_bytes is None:
        return limits
    room = min(limits.disk_bytes, limits.slot_memory_bytes // _DISK_PARTS)
    return dataclasses.replace(limits, disk_bytes=room)


class Surroundings:
    """Open it before the first slot, close it after the last."""

    def __init__(self, limits: Limits, allowed: Sequence[str]) -> None:
        """Take limits and rules.

        Raises:
            ConfigError: a rule has no form of a rule.
        """
        self._limits = limits
        self._policy = Policy(allowed) if allowed else None
        self._resolver = SystemResolver()
        self._driver = Driver((), "", ())
        self._last = 0

    async def open(self) -> None:
        """Find the driver and remove what killed owners left.

        Raises:
            IsolationUnavailableError: a limit can't be held.
        """
        self._driver = await asyncio.to_thread(find_driver)
        try:
            await asyncio.to_thread(self._driver.reclaim)
            asked = Bounds(memory_bytes=self._limits.slot_memory_bytes, cpus=self._limits.slot_cpus)
            self._driver.check(asked)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> bool:
        """Remove the groups; return whether nothing stays. May be called again."""
        self._resolver.close()
        driver, self._driver = self._driver, Driver((), "", ())
        return await asyncio.to_thread(driver.close)

    def check_level(self, isolation: Isolation) -> None:
        """Refuse a level at which something that was asked for wouldn't hold.

        Raises:
            SlotStartError: says what.
        """
        if isolation is Isolation.PROCESS and self._policy is not None:
            raise SlotStartError("no allow-list holds for processes without a network of their own")

    def around(self, index: int) -> Fence:
        """Return a new fence, for the slot at a place of the backend.

        Raises:
            SlotStartError: the system refuses the group.
        """
        self._last += 1
        group = self._driver.make(f"slot-{index}-{self._last}", self._bounds())
        return Fence(group, self._policy, self._resolver)

    def _bounds(self) -> Bounds:
        has_pids = Controller.PIDS in self._driver.controllers
        return Bounds(
            memory_bytes=self._limits.slot_memory_bytes,
            processes=self._limits.processes + _OWN_PROCESSES if has_pids else None,
            cpus=self._limits.slot_cpus,
        )

    @property
    def control_groups(self) -> str:
        """Name of the driver, for `Capabilities`."""
        return str(self._driver.kind)

    @property
    def allowed(self) -> tuple[str, ...]:
        """The rules, for `Capabilities`."""
        return self._policy.rules if self._policy else ()

    @property
    def environment(self) -> dict[str, str]:
        """What commands must know of the way out."""
        return proxy_environment() if self._policy else {}

    def unlimited(self, isolation: Isolation) -> tuple[str, ...]:
        """Return the limits that no control group holds here, for `Capabilities`."""
        fields = {Controller.MEMORY: "slot_memory_bytes", Controller.CPU: "slot_cpus"}
        if isolation is Isolation.PROCESS:
            fields[Controller.PIDS] = "processes"
        return tuple(name for key, name in fields.items() if key not in self._driver.controllers)
