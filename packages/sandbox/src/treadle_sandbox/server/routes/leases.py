"""Routes that make, keep and end leases, and those that concern a slot as a whole."""

import dataclasses
import re
import secrets
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from treadle_sandbox.errors import BackendStateError, InvalidCommandError, LeaseExpiredError
from treadle_sandbox.server.answers import DONE, Answer, answer_json
from treadle_sandbox.server.bodies import ForkWish, LeaseWish, Renewal, SnapshotName
from treadle_sandbox.server.leases import Held
from treadle_sandbox.server.service import Service, respond

_NAME = re.compile(r"[A-Za-z0-9_.-]{8,64}")


def describe(service: Service, held: Held) -> dict[str, Any]:
    """Return what the holder of a lease needs to know."""
    return {
        "id": held.id,
        "token": held.token,
        "epoch": held.epoch,
        "workdir": held.lease.workdir,
        "isolation": held.lease.isolation,
        "boot": service.book.boot,
    }


def lease_routes(service: Service) -> APIRouter:
    """Return the routes that make, list and end leases."""
    router = APIRouter(prefix="/v1/leases", tags=["leases"])
    book = service.book

    @router.get("")
    async def list_leases() -> list[dict[str, Any]]:
        """Every lease, for a holder that lost its memory."""
        return [_listed(held) for held in book.all()]

    @router.post("", status_code=201)
    async def create(request: Request, body: LeaseWish) -> Response:
        """Wait for a slot; the server names the lease."""
        return await create_as(secrets.token_hex(16), request, body)

    @router.put("/{lease}", status_code=201)
    async def create_as(lease: str, request: Request, body: LeaseWish) -> Response:
        """Wait for a slot; the client names the lease, so that asking again makes no second."""
        _check_name(lease)

        async def work() -> Answer:
            snapshot = None if body.snapshot is None else service.snapshot(body.snapshot)
            held = await book.open(
                lease,
                timeout=body.timeout,
                owner=body.owner,
                lifetime=body.lifetime,
                heartbeat=body.heartbeat,
                snapshot=snapshot,
            )
            return answer_json(describe(service, held), 201)

        return await service.perform(request, book.creations, work, lease)

    @router.delete("/{lease}", status_code=204)
    async def close(lease: str) -> Response:
        """End a lease, or its creation. It may have ended before."""
        await book.close(lease)
        return respond(DONE)

    @router.post("/{lease}/attach")
    async def attach(request: Request) -> Response:
        """Take a lease over: a new epoch begins, calls of the holder before are refused."""
        held = service.held(request)
        held.epoch += 1
        held.beaten = time.monotonic()
        return respond(answer_json(describe(service, held)))

    @router.post("/{lease}/renew")
    async def renew(request: Request, body: Renewal) -> dict[str, float]:
        """Let a lease live so many seconds from now."""
        held = service.held(request)
        if held.overdue(time.monotonic()):
            raise LeaseExpiredError(f"lease {held.id} wasn't renewed in time")
        held.lifetime, held.renewed = body.seconds, time.monotonic()
        return {"seconds": body.seconds}

    @router.delete("/{lease}/calls/{key}", status_code=204)
    async def end_call(key: str, request: Request) -> Response:
        """End a call of a lease, by its idempotency key, and wait for its end."""
        await service.held(request).calls.cancel(key)
        return respond(DONE)

    return router


def slot_routes(service: Service) -> APIRouter:
    """Return the routes that concern the slot of a lease as a whole."""
    router = APIRouter(prefix="/v1/leases/{lease}", tags=["slots"])

    @router.post("/kill", status_code=204)
    async def kill(request: Request) -> Response:
        """End every process; files stay."""
        held = service.held(request)
        return await service.change(request, lambda: _done(held.lease.kill_all()))

    @router.post("/reset")
    async def reset(request: Request) -> Response:
        """Start again with an empty working directory."""
        held = service.held(request)

        async def work() -> Answer:
            held.sessions.clear()
            await held.lease.reset()
            return answer_json(describe(service, held))

        return await service.change(request, work)

    @router.post("/snapshot", status_code=201)
    async def snapshot(request: Request) -> Response:
        """Keep the files as they are now."""
        held = service.held(request)

        async def work() -> Answer:
            taken = await held.lease.snapshot()
            service.snapshots[taken.id] = taken
            return answer_json(dataclasses.asdict(taken), 201)

        return await service.change(request, work)

    @router.post("/restore")
    async def restore(request: Request, body: SnapshotName) -> Response:
        """Go back to a snapshot."""
        held = service.held(request)

        async def work() -> Answer:
            held.sessions.clear()
            await held.lease.restore(service.snapshot(body.id))
            return answer_json(describe(service, held))

        return await service.change(request, work)

    add_fork(router, service)
    return router


def add_fork(router: APIRouter, service: Service) -> None:
    """Add the route that makes leases of a lease."""

    @router.post("/fork", status_code=201)
    async def fork(request: Request, body: ForkWish) -> Response:
        """Make leases whose files are as they are here now; all or none."""
        held = service.held(request)
        for name in body.ids:
            _check_name(name)

        async def work() -> Answer:
            return answer_json([describe(service, new) for new in await _fork(service, held, body)])

        return await service.change(request, work)


async def _fork(service: Service, held: Held, body: ForkWish) -> list[Held]:
    if service.book.draining:
        raise BackendStateError("the server is draining: it gives no new leases")
    lifetime = service.options.lifetime if body.heartbeat is None else None
    leases = await held.lease.fork(len(body.ids), timeout=body.timeout)
    return [
        service.book.hold(
            name, lease, owner=body.owner, lifetime=lifetime, heartbeat=body.heartbeat
        )
        for name, lease in zip(body.ids, leases, strict=True)
    ]


async def _done(work: Any) -> Answer:
    await work
    return DONE


def _listed(held: Held) -> dict[str, Any]:
    now = time.monotonic()
    left = None if held.lifetime is None else held.renewed + held.lifetime - now
    return {
        "id": held.id,
        "owner": held.owner,
        "epoch": held.epoch,
        "age": now - held.born,
        "seconds_left": left,
        "running": held.calls.running,
    }


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidCommandError(
            f"{name!r} can't name a lease: give 8 to 64 letters, digits, '_', '.' or '-'"
        )
