"""Routes of the files of a lease."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from treadle_sandbox.errors import InvalidCommandError
from treadle_sandbox.server.answers import DONE, Answer, answer_bytes, answer_json
from treadle_sandbox.server.service import Service, read_number, read_query, respond

_TAR = 1_000_000_000


def file_routes(service: Service) -> APIRouter:
    """Return the routes. Every path is an argument, so that any name can be asked for."""
    router = APIRouter(prefix="/v1/leases/{lease}", tags=["files"])

    @router.get("/file")
    async def read(request: Request) -> Response:
        """The bytes of the regular file `path`, at most `limit`."""
        held, query = service.held(request), read_query(request)
        limit = int(read_number(query, "limit", 16_000_000))
        return respond(answer_bytes(await held.lease.read_file(_path(query), limit=limit)))

    @router.put("/file", status_code=204)
    async def write(request: Request) -> Response:
        """Write the body to the file `path`; `executable=1` sets that."""
        held, query, data = service.held(request), read_query(request), await request.body()
        executable = query.get("executable", "0") == "1"

        async def work() -> Answer:
            await held.lease.write_file(_path(query), data, executable=executable)
            return DONE

        return await service.change(request, work)

    @router.get("/files")
    async def list_files(request: Request) -> Response:
        """The regular files below the folder `path`."""
        entries = await service.held(request).lease.list_files(read_query(request).get("path", "."))
        rows = [[entry.path, entry.size, entry.executable] for entry in entries]
        return respond(answer_json({"files": rows}))

    @router.get("/archive")
    async def archive(request: Request) -> Response:
        """The folder or file `path` as a tar archive of at most `limit` bytes."""
        held, query = service.held(request), read_query(request)
        limit = int(read_number(query, "limit", _TAR))
        data = await held.lease.archive(query.get("path", "."), limit=limit)
        return respond(Answer(200, data, "application/x-tar"))

    @router.post("/archive")
    async def extract(request: Request) -> Response:
        """Unpack the body, a tar archive, below the folder `path`."""
        held, query, data = service.held(request), read_query(request), await request.body()

        async def work() -> Answer:
            count = await held.lease.extract(data, query.get("path", "."))
            return answer_json({"files": count})

        return await service.change(request, work)

    return router


def _path(query: dict[str, str]) -> str:
    if not query.get("path"):
        raise InvalidCommandError("no path is given: add ?path=NAME")
    return query["path"]
