"""Sandbox servers as jobs of a Nomad cluster, one job for each."""

import asyncio
import time

from treadle_sandbox.config import NomadConfig
from treadle_sandbox.errors import SandboxError, ServerError, ServerStartError
from treadle_sandbox.nomad.agent import Json, NomadAgent
from treadle_sandbox.nomad.job import (
    POOL_META,
    PORT_LABEL,
    SERVER_META,
    TASK,
    build_job,
    job_id,
    variable_path,
)
from treadle_sandbox.nomad.reasons import allocation_problem, placement_problem
from treadle_sandbox.pool.boundary import finish
from treadle_sandbox.pool.provider import ServerAddress

_WAIT = 5.0
_FIRST_PAUSE, _PAUSE_MOST = 0.02, 0.5


class NomadProvider:
    """Starts and ends the sandbox servers of one pool through a Nomad agent."""

    kind = "nomad"

    def __init__(self, config: NomadConfig) -> None:
        self._config = config
        self._agent = NomadAgent(config)

    async def start(self) -> None:
        """Check that the agent answers and that its cluster has a leader.

        Raises:
            ServerError, UnauthorizedError: with advice.
        """
        if not await self._agent.leader():
            raise ServerError(f"the Nomad cluster at {self._config.address} has no leader")

    async def create(self, name: str, token: str) -> ServerAddress:
        """Register a server's job and wait until its process runs."""
        try:
            await self._register(name, token)
            return await self._wait(name, token)
        except BaseException:
            await finish(self._undo(name))
            raise

    async def _register(self, name: str, token: str) -> None:
        config = self._config
        work = asyncio.ensure_future(self._submit(name, token))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await finish(_settle(work, config.http_timeout * 2))
            raise

    async def _submit(self, name: str, token: str) -> None:
        await self._agent.keep_secret(variable_path(self._config, name), {"token": token})
        await self._agent.register(build_job(self._config, name))

    async def _undo(self, name: str) -> None:
        try:
            await self.remove(name)
        except SandboxError:
            return

    async def _wait(self, name: str, token: str) -> ServerAddress:
        config, job = self._config, job_id(self._config, name)
        deadline = time.monotonic() + config.start_timeout
        index, pause = 0, _FIRST_PAUSE
        while (left := deadline - time.monotonic()) > 0:
            wait = min(_WAIT, left, config.http_timeout / 2)
            page = await self._agent.allocations(job, after=index, wait=wait)
            moved, index = page.index != index, page.index
            if page.rows:
                address = await self._locate(page.rows[0], name, token)
                if address is not None:
                    return address
                problem = allocation_problem(page.rows[0])
            else:
                problem = placement_problem(await self._agent.evaluations(job))
            if problem is not None:
                raise ServerStartError(f"Nomad job {job!r}: {problem}")
            if not moved:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE_MOST)
        raise ServerStartError(
            f"Nomad job {job!r} doesn't run after {config.start_timeout:g} s; its nodes may still "
            "fetch the image: load it there or raise start_timeout"
        )

    async def _locate(self, row: Json, name: str, token: str) -> ServerAddress | None:
        if row.get("ClientStatus") != "running" or allocation_problem(row) is not None:
            return None
        allocation = await self._agent.allocation(str(row["ID"]))
        if allocation is None:
            return None
        host, port = _endpoint(allocation)
        if not port:
            return None
        shown = f"[{host}]" if ":" in host else host
        return ServerAddress(name=name, url=f"http://{shown}:{port}", token=token)

    async def remove(self, name: str) -> None:
        """End a server's job and forget it. It may be gone already."""
        await self._agent.deregister(job_id(self._config, name))
        await self._agent.forget_secret(variable_path(self._config, name))

    async def find(self) -> tuple[str, ...]:
        """Return the names of this pool's servers whose jobs aren't ended."""
        prefix = self._config.job_id or self._config.name
        names: list[str] = []
        for job in await self._agent.jobs(prefix):
            meta: Json = job.get("Meta") or {}
            ended = job.get("Stop") or job.get("Status") == "dead"
            if meta.get(POOL_META) == self._config.name and not ended:
                names.append(str(meta[SERVER_META]))
        return tuple(sorted(names))

    async def address(self, name: str, token: str) -> ServerAddress | None:
        """Return the address of a server that another driver registered; None when it is gone."""
        page = await self._agent.allocations(job_id(self._config, name))
        for row in page.rows:
            address = await self._locate(row, name, token)
            if address is not None:
                return address
        return None

    async def failure(self, name: str) -> str | None:
        """Return why a server died or can't start; None when it looks alive."""
        job = job_id(self._config, name)
        found = await self._agent.job(job)
        if found is None or found.get("Stop"):
            return f"Nomad has no job {job!r} any more"
        page = await self._agent.allocations(job)
        if not page.rows:
            return placement_problem(await self._agent.evaluations(job))
        problem = allocation_problem(page.rows[0])
        if problem is None:
            return None
        log = await self._last_words(page.rows[0])
        return f"{problem}: {log}" if log else problem

    async def _last_words(self, row: Json) -> str:
        try:
            return (await self._agent.log(str(row["ID"]), TASK)).strip()[-1000:]
        except SandboxError:
            return ""

    async def aclose(self) -> None:
        """Give the threads back; jobs stay."""
        self._agent.close()


def _endpoint(allocation: Json) -> tuple[str, int]:
    resources: Json = allocation.get("AllocatedResources") or {}
    shared: Json = resources.get("Shared") or {}
    networks: list[Json] = list(shared.get("Networks") or ())
    address = str(networks[0].get("IP", "")) if networks else ""
    for port in shared.get("Ports") or ():
        if port.get("Label") == PORT_LABEL:
            return str(port.get("HostIP") or address or "127.0.0.1"), int(port["Value"])
    for network in networks:
        for port in (*(network.get("DynamicPorts") or ()), *(network.get("ReservedPorts") or ())):
            if port.get("Label") == PORT_LABEL:
                return address or "127.0.0.1", int(port["Value"])
    return "", 0


async def _settle(work: "asyncio.Future[None]", timeout: float) -> None:
    await asyncio.wait({work}, timeout=timeout)
    if work.done() and not work.cancelled():
        work.exception()
