"""The HTTP side of the stand-in for Nomad."""

import asyncio
import contextlib
import shutil
import socket
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from treadle_sandbox.testing.fake_nomad.cluster import Allocation, Cluster, Faults
from treadle_sandbox.testing.fake_nomad.tasks import live, stop, write_programs

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeNomad:
    """The stand-in. `cluster` shows what it did; `faults` makes it misbehave."""

    def __init__(self) -> None:
        self.cluster = Cluster(Path(tempfile.mkdtemp(prefix="treadle-nomad-")))
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def faults(self) -> Faults:
        """How it misbehaves."""
        return self.cluster.faults

    @property
    def url(self) -> str:
        """Address of the agent."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        write_programs(self.cluster)
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/v1/status/leader", self._leader),
                web.get("/v1/jobs", self._list),
                web.post("/v1/jobs", self._register),
                web.get("/v1/job/{job}", self._job),
                web.delete("/v1/job/{job}", self._deregister),
                web.get("/v1/job/{job}/allocations", self._allocations),
                web.get("/v1/job/{job}/evaluations", self._evaluations),
                web.get("/v1/allocation/{id}", self._allocation),
                web.get("/v1/client/fs/logs/{id}", self._logs),
                web.put("/v1/var/{path:.+}", self._keep),
                web.delete("/v1/var/{path:.+}", self._forget),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self._port = self._port or _free_port()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        return self

    async def pause(self) -> None:
        """Take the agent's HTTP side down; tasks go on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.pause()
        every = [each for several in self.cluster.allocations.values() for each in several]
        await asyncio.gather(*(stop(self.cluster, each) for each in every), *self._stopping)
        await asyncio.to_thread(shutil.rmtree, self.cluster.folder, ignore_errors=True)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await asyncio.sleep(self.faults.delay)
        token = self.faults.token
        if token is not None and request.headers.get("X-Nomad-Token") != token:
            raise web.HTTPForbidden(text="Permission denied")
        return await handler(request)

    def _answer(self, data: Any) -> web.Response:
        return web.json_response(data, headers={"X-Nomad-Index": str(self.cluster.index)})

    async def _leader(self, request: web.Request) -> web.StreamResponse:
        return self._answer("" if self.faults.no_leader else "127.0.0.1:4647")

    async def _register(self, request: web.Request) -> web.StreamResponse:
        job = (await request.json()).get("Job")
        if not job or not job.get("TaskGroups"):
            raise web.HTTPBadRequest(text="Job must be specified")
        cluster = self.cluster
        cluster.jobs[job["ID"]] = job
        cluster.registered.append(job)
        evaluation = cluster.place(job)
        if "FailedTGAllocs" not in evaluation:
            self._start(job)
        return self._answer({"EvalID": evaluation["ID"], "JobModifyIndex": cluster.index})

    def _start(self, job: Any) -> None:
        name = str(uuid.uuid4())
        folder = self.cluster.folder / name
        folder.mkdir()
        allocation = Allocation(
            id=name, index=self.cluster.touch(), job=job, port=_free_port(), folder=folder
        )
        self.cluster.allocations.setdefault(job["ID"], []).append(allocation)
        allocation.life = asyncio.create_task(live(self.cluster, allocation))

    def _get(self, request: web.Request) -> Any:
        job = self.cluster.jobs.get(request.match_info["job"])
        if job is None:
            raise web.HTTPNotFound(text="job not found")
        return job

    def _status(self, job_id: str) -> str:
        states = {each.status for each in self.cluster.allocations.get(job_id, ())}
        if states & {"running"}:
            return "running"
        return "dead" if states and states <= {"failed", "complete"} else "pending"

    async def _job(self, request: web.Request) -> web.StreamResponse:
        job = self._get(request)
        return self._answer({**job, "Status": self._status(job["ID"]), "Stop": False})

    async def _list(self, request: web.Request) -> web.StreamResponse:
        prefix = request.query.get("prefix", "")
        rows: list[dict[str, Any]] = []
        for name, job in self.cluster.jobs.items():
            if name.startswith(prefix):
                meta = {"Meta": job["Meta"]} if request.query.get("meta") else {}
                rows.append({"ID": name, "Status": self._status(name), "Stop": False, **meta})
        return self._answer(rows)

    async def _deregister(self, request: web.Request) -> web.StreamResponse:
        job = self._get(request)
        del self.cluster.jobs[job["ID"]]
        for allocation in self.cluster.allocations.pop(job["ID"], ()):
            task = asyncio.create_task(stop(self.cluster, allocation))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
        self.cluster.touch()
        return self._answer({"EvalID": str(uuid.uuid4())})

    async def _allocations(self, request: web.Request) -> web.StreamResponse:
        if "index" in request.query:
            wait = float(request.query.get("wait", "300000ms").removesuffix("ms")) / 1000
            await self.cluster.changed_since(int(request.query["index"]), wait)
        found = self.cluster.allocations.get(request.match_info["job"], [])
        return self._answer([each.row() for each in found])

    async def _evaluations(self, request: web.Request) -> web.StreamResponse:
        return self._answer(self.cluster.evaluations.get(request.match_info["job"], []))

    def _find(self, request: web.Request) -> Allocation:
        for several in self.cluster.allocations.values():
            for allocation in several:
                if allocation.id == request.match_info["id"]:
                    return allocation
        raise web.HTTPNotFound(text="alloc not found")

    async def _allocation(self, request: web.Request) -> web.StreamResponse:
        return self._answer(self._find(request).row())

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        data = b""
        with contextlib.suppress(FileNotFoundError):
            data = (self._find(request).folder / "stderr").read_bytes()
        return web.Response(body=data[-int(request.query.get("offset", "0")) :])

    async def _keep(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.cluster.variables[request.match_info["path"]] = body["Items"]
        return self._answer({"Path": body["Path"], "CreateIndex": self.cluster.touch()})

    async def _forget(self, request: web.Request) -> web.StreamResponse:
        self.cluster.variables.pop(request.match_info["path"], None)
        return web.Response(status=204)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
