"""What the stand-in for Nomad knows: jobs, evaluations, allocations and variables."""

import asyncio
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Faults:
    """How the stand-in misbehaves."""

    token: str | None = None
    """Only requests with this token are accepted."""
    missing_images: set[str] = field(default_factory=set[str])
    """Images that can't be pulled."""
    no_driver: bool = False
    """Whether no node has the job's driver."""
    memory: int = 100_000
    """MB that the only node has."""
    delay: float = 0.0
    """Seconds before each answer."""
    no_leader: bool = False


@dataclass(slots=True, kw_only=True)
class Allocation:
    """One placement of a job, and its process."""

    id: str
    index: int
    job: Json
    port: int
    folder: Path
    status: str = "pending"
    events: list[Json] = field(default_factory=list[Json])
    process: asyncio.subprocess.Process | None = None
    life: asyncio.Task[None] | None = None
    starts: int = 0

    def note(self, kind: str, message: str) -> None:
        """Record an event of the task."""
        self.events.append({"Type": kind, "DisplayMessage": message, "Details": {}})

    def row(self) -> Json:
        """Return it as Nomad's lists and details show it."""
        group = self.job["TaskGroups"][0]
        port: Json = {"Label": "http", "Value": self.port, "HostIP": "127.0.0.1"}
        return {
            "ID": self.id,
            "JobID": self.job["ID"],
            "CreateIndex": self.index,
            "TaskGroup": group["Name"],
            "ClientStatus": self.status,
            "TaskStates": {group["Tasks"][0]["Name"]: {"Events": self.events}},
            "AllocatedResources": {"Shared": {"Ports": [port], "Networks": [{"IP": "127.0.0.1"}]}},
        }


class Cluster:
    """One node, and everything registered with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = Faults()
        self.jobs: dict[str, Json] = {}
        self.evaluations: dict[str, list[Json]] = {}
        self.allocations: dict[str, list[Allocation]] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.registered: list[Json] = []
        self.index = 10
        self._changed = asyncio.Event()

    def touch(self) -> int:
        """Note a change; wake who waits for one."""
        self.index += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return self.index

    async def changed_since(self, index: int, timeout: float) -> None:
        """Return when something changed after an index, or after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while self.index <= index:
                    await self._changed.wait()
        except TimeoutError:
            return

    def place(self, job: Json) -> Json:
        """Evaluate a job: return its evaluation, with the reason when no node takes it."""
        index = self.touch()
        evaluation: Json = {
            "ID": str(uuid.uuid4()),
            "JobID": job["ID"],
            "CreateIndex": index,
            "Status": "complete",
        }
        group = job["TaskGroups"][0]
        metric: Json = {"NodesEvaluated": 1, "ConstraintFiltered": {}, "DimensionExhausted": {}}
        wanted = group["Tasks"][0]["Resources"]["MemoryMB"]
        if self.faults.no_driver:
            metric["ConstraintFiltered"] = {"missing drivers": 1}
        elif job.get("Constraints"):
            constraint = job["Constraints"][0]
            metric["ConstraintFiltered"] = {f"{constraint['LTarget']} = {constraint['RTarget']}": 1}
        elif wanted > self.faults.memory - self._used():
            metric["DimensionExhausted"] = {"memory": 1}
        if metric["ConstraintFiltered"] or metric["DimensionExhausted"]:
            evaluation["FailedTGAllocs"] = {group["Name"]: metric}
        self.evaluations.setdefault(job["ID"], []).append(evaluation)
        return evaluation

    def _used(self) -> int:
        running = [
            each
            for several in self.allocations.values()
            for each in several
            if each.status in ("pending", "running")
        ]
        return sum(
            each.job["TaskGroups"][0]["Tasks"][0]["Resources"]["MemoryMB"] for each in running
        )
