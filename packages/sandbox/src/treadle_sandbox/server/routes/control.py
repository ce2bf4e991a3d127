"""Routes of the server itself: health, capabilities, statistics, snapshots, drain."""

import dataclasses
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from treadle_sandbox.server.answers import DONE, answer_json
from treadle_sandbox.server.bodies import Heartbeat
from treadle_sandbox.server.metrics import render_metrics
from treadle_sandbox.server.service import Service, respond


def health(service: Service) -> dict[str, Any]:
    """Return the state of the server, and the fields of the predecessor's health page."""
    state = service.backend.statistics()
    return {
        "status": "draining" if service.book.draining else "ready",
        "slots": state.slots,
        "leased": state.leased,
        "version": _version(),
        "boot": service.book.boot,
        "available": max(0, state.slots - state.leased - state.quarantined),
        "executing": state.running,
        "waiting": state.waiting,
        "quarantined": state.quarantined,
    }


def _version() -> str:
    try:
        return version("treadle-sandbox")
    except PackageNotFoundError:
        return "0"


def control_routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["server"])

    @router.get("/health")
    async def read_health() -> dict[str, Any]:
        """Whether the server takes leases; needs no token."""
        return health(service)

    @router.get("/metrics")
    async def read_metrics() -> Response:
        """Counters for Prometheus."""
        return Response(render_metrics(service), media_type="text/plain; version=0.0.4")

    @router.get("/v1/capabilities")
    async def read_capabilities() -> dict[str, Any]:
        """What the backend behind this server really gives."""
        return {**dataclasses.asdict(service.backend.capabilities), "boot": service.book.boot}

    @router.get("/v1/statistics")
    async def read_statistics() -> dict[str, Any]:
        """State and counters of the backend."""
        return dataclasses.asdict(service.backend.statistics())

    @router.post("/v1/heartbeat")
    async def beat(body: Heartbeat) -> Response:
        """Say that the holder of these leases lives; `lost` names those that it doesn't hold."""
        return respond(answer_json({"lost": service.book.beat(body.leases)}))

    @router.post("/v1/drain", status_code=204)
    async def drain() -> Response:
        """Give no new leases; those that are held go on."""
        service.book.draining = True
        return respond(DONE)

    @router.delete("/v1/snapshots/{name}", status_code=204)
    async def discard(name: str, request: Request) -> Response:
        """Forget a snapshot."""
        await service.backend.discard(service.snapshot(name))
        service.snapshots.pop(name, None)
        return respond(DONE)

    return router
