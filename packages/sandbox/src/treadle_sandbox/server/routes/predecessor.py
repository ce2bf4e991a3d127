"""The predecessor's endpoints, with its field names."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from treadle_sandbox.server.answers import Answer, answer_json
from treadle_sandbox.server.artifacts import archive_artifacts, list_artifacts, read_artifact
from treadle_sandbox.server.bodies import ArchiveWish, Execution, ListWish, ReadWish, SlotName
from treadle_sandbox.server.calls import Calls
from treadle_sandbox.server.predecessor import NamedSlots, new_execution
from treadle_sandbox.server.service import Service, respond


def predecessor_routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["predecessor"])
    slots = service.named

    @router.post("/execute")
    async def execute(request: Request, body: Execution) -> Response:
        """Run one tool in one slot."""
        run = body.execution_id or new_execution()

        async def work() -> Answer:
            return answer_json(
                await slots.execute(body.slot_id, body.tool, body.args, body.timeout, run)
            )

        calls = _calls(slots, body.slot_id, service)
        return await service.perform(request, calls, work, body.execution_id)

    @router.post("/batch")
    async def batch(request: Request, body: list[Execution]) -> Response:
        """Run many tools at once, answered in their order."""

        async def one(item: Execution) -> dict[str, Any]:
            run = item.execution_id or new_execution()
            return await slots.execute(item.slot_id, item.tool, item.args, item.timeout, run)

        async def work() -> Answer:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(item)) for item in body]
            return answer_json([task.result() for task in tasks])

        return await service.perform(request, service.batches, work, None)

    @router.post("/reset")
    async def reset(body: SlotName) -> Response:
        """Empty a slot."""
        return respond(answer_json(await slots.reset(body.slot_id)))

    @router.get("/slots")
    async def list_slots() -> list[dict[str, Any]]:
        """Every slot by its name."""
        return [
            {
                "slot_id": slot.id,
                "state": slot.state,
                "workspace_dir": None if slot.lease is None else slot.lease.workdir,
                "current_execution_id": slot.execution,
            }
            for slot in slots.all()
        ]

    add_artifacts(router, service)
    return router


def add_artifacts(router: APIRouter, service: Service) -> None:
    """Add the routes of a slot's files."""
    slots = service.named

    @router.post("/artifacts/read")
    async def read(body: ReadWish) -> Response:
        """A file of a slot."""
        slot = slots.find(body.slot_id)
        async with slot.lock:
            return respond(answer_json(await read_artifact(await slots.lease(slot), body)))

    @router.post("/artifacts/list")
    async def list_files(body: ListWish) -> Response:
        """The files of a folder."""
        slot = slots.find(body.slot_id)
        async with slot.lock:
            return respond(answer_json(await list_artifacts(await slots.lease(slot), body)))

    @router.post("/artifacts/archive")
    async def archive(body: ArchiveWish) -> Response:
        """A folder as a gzipped tar archive."""
        slot = slots.find(body.slot_id)
        async with slot.lock:
            return respond(answer_json(await archive_artifacts(await slots.lease(slot), body)))


def _calls(slots: NamedSlots, name: str, service: Service) -> Calls:
    known = {slot.id: slot for slot in slots.all()}
    return known[name].calls if name in known else service.batches
