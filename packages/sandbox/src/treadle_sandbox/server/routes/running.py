"""Routes of commands, sessions and background jobs of a lease."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from treadle_sandbox.backend import Job
from treadle_sandbox.server.answers import DONE, Answer, answer_bytes, answer_json
from treadle_sandbox.server.bodies import Signal
from treadle_sandbox.server.commands import Target, read_job
from treadle_sandbox.server.service import Service, read_number, read_query, respond
from treadle_sandbox.wire import COMMAND_TYPE, RESULT_TYPE

_BODY: dict[str, Any] = {
    "requestBody": {
        "description": "One line of JSON, then standard input as it is",
        "content": {COMMAND_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
    "responses": {
        "200": {
            "description": "One line of JSON, then standard output and standard error",
            "content": {RESULT_TYPE: {}, "application/json": {}},
        }
    },
}


def command_routes(service: Service) -> APIRouter:
    """Return the hot routes once more, for the OpenAPI page and for servers that mount the app."""
    router = APIRouter(prefix="/v1/leases/{lease}", tags=["commands"])

    async def run(request: Request, target: Target) -> Response:
        body = await request.body()
        begun = service.commands.begin(target, dict(request.scope["headers"]), body)
        if isinstance(begun, Answer):
            return respond(begun)
        return await service.follow(request, begun)

    @router.post("/exec", openapi_extra=_BODY)
    async def run_exec(lease: str, request: Request) -> Response:
        """Run a command: `argv`, and `env`, `workdir`, `timeout`, `output_limit`, `privilege`."""
        return await run(request, Target(lease, "exec"))

    @router.post("/shell", openapi_extra=_BODY)
    async def run_shell(lease: str, request: Request) -> Response:
        """Run a `script` in a fresh shell."""
        return await run(request, Target(lease, "shell"))

    @router.post("/sessions/{name}/run", openapi_extra=_BODY)
    async def run_session(lease: str, name: str, request: Request) -> Response:
        """Run a `script` in a persistent shell."""
        return await run(request, Target(lease, "run", name))

    return router


def session_routes(service: Service) -> APIRouter:
    """Return the routes that begin and end persistent shells."""
    router = APIRouter(prefix="/v1/leases/{lease}/sessions/{name}", tags=["sessions"])

    @router.put("")
    async def begin(name: str, request: Request) -> Response:
        """Start the shell of that name when it isn't there."""
        held = service.held(request)

        async def work() -> Answer:
            session = held.sessions[name] = await held.lease.session(name)
            return answer_json({"name": session.name, "restarts": session.restarts})

        return await service.change(request, work)

    @router.delete("", status_code=204)
    async def end(name: str, request: Request) -> Response:
        """End the shell and what it started."""
        held = service.held(request)

        async def work() -> Answer:
            session = held.sessions.pop(name, None)
            if session is not None:
                await session.aclose()
            return DONE

        return await service.change(request, work)

    return router


def job_routes(service: Service) -> APIRouter:
    """Return the routes of background jobs."""
    router = APIRouter(prefix="/v1/leases/{lease}/jobs", tags=["jobs"])

    @router.post("", status_code=201)
    async def start(request: Request) -> Response:
        """Start a command in the background: `argv`, `env`, `workdir`, `timeout`, `keep`."""
        held = service.held(request)
        argv, fields = read_job(await request.body())

        async def work() -> Answer:
            job = await held.lease.start(argv, **fields)
            return answer_json({"id": job.id}, 201)

        return await service.change(request, work)

    @router.get("")
    async def list_jobs(request: Request) -> list[dict[str, Any]]:
        """Every job since the last reset, oldest first."""
        states = await service.held(request).lease.jobs()
        return [dataclasses.asdict(state) for state in states]

    @router.get("/{job}")
    async def state(request: Request) -> dict[str, Any]:
        """What is known of a job, at once, or when it ended or `wait` seconds passed."""
        job = await find_job(service, request)
        wait = read_number(read_query(request), "wait", 0)
        return dataclasses.asdict(await (job.wait(wait) if wait else job.state()))

    add_streams(router, service)
    return router


async def find_job(service: Service, request: Request) -> Job:
    """Return the job that a path names. Raises JobNotFoundError."""
    return await service.held(request).lease.job(request.path_params["job"])


def add_streams(router: APIRouter, service: Service) -> None:
    """Add the routes of a job's output, input and signals."""

    @router.get("/{job}/output")
    async def read(request: Request) -> Response:
        """What a `stream` holds from `offset` on, at most `limit` bytes; waits `wait` seconds while
        there is nothing.
        """
        job, query = await find_job(service, request), read_query(request)
        chunk = await job.read(
            query.get("stream", "stdout"),
            int(read_number(query, "offset", 0)),
            limit=int(read_number(query, "limit", 1_000_000)),
            wait=read_number(query, "wait", 0),
        )
        head = {"treadle-stream": chunk.stream, "treadle-offset": str(chunk.offset)}
        return respond(answer_bytes(chunk.data, **head))

    @router.get("/{job}/follow")
    async def follow(request: Request) -> Response:
        """The bytes of a `stream` from `offset` on, as they are written, until the job ends."""
        job, query = await find_job(service, request), read_query(request)
        stream, offset = query.get("stream", "stdout"), int(read_number(query, "offset", 0))

        async def pieces() -> AsyncIterator[bytes]:
            async for chunk in job.output(stream, offset):
                yield chunk.data

        return StreamingResponse(pieces(), media_type="application/octet-stream")

    @router.post("/{job}/input", status_code=204)
    async def write(request: Request) -> Response:
        """Write the body to the job's standard input; `end=1` closes it."""
        job, data = await find_job(service, request), await request.body()
        end = read_query(request).get("end", "0") == "1"

        async def work() -> Answer:
            await job.write(data, end=end)
            return DONE

        return await service.change(request, work)

    @router.post("/{job}/kill", status_code=204)
    async def kill(request: Request, body: Signal) -> Response:
        """Signal the job."""
        job = await find_job(service, request)

        async def work() -> Answer:
            await job.kill(body.signal)
            return DONE

        return await service.change(request, work)
