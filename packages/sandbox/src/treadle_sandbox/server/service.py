"""What every route of the control plane works with, and how it answers."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.responses import Response

from treadle_sandbox import errors
from treadle_sandbox.backend import Backend
from treadle_sandbox.records import Snapshot
from treadle_sandbox.server.answers import Answer
from treadle_sandbox.server.authority import Authority
from treadle_sandbox.server.calls import Call, Calls, Work
from treadle_sandbox.server.commands import Commands
from treadle_sandbox.server.leases import Held, LeaseBook
from treadle_sandbox.server.options import ServerOptions
from treadle_sandbox.server.predecessor import NamedSlots
from treadle_sandbox.server.tally import Tally


class Service:
    """A backend, its leases and their tokens."""

    def __init__(self, backend: Backend, options: ServerOptions) -> None:
        self.backend = backend
        self.options = options
        self.tally = Tally()
        self.book = LeaseBook(backend, options)
        self.authority = Authority(options.token)
        self.commands = Commands(self.book, self.authority, self.tally)
        self.snapshots: dict[str, Snapshot] = {}
        self.named = NamedSlots(backend)
        self.batches = Calls(grace=options.reconnect_grace)
        self.end = asyncio.Event()

    def held(self, request: Request) -> Held:
        """Return the lease that a path names. Raises as `LeaseBook.find`."""
        headers = dict(request.scope["headers"])
        return self.commands.admit(request.path_params["lease"], headers)

    async def perform(
        self, request: Request, calls: Calls, work: Work, key: str | None
    ) -> Response:
        """Run a call once; end it when its client is gone."""
        return await self.follow(request, calls.begin(key, work))

    async def follow(self, request: Request, call: Call) -> Response:
        """Wait for a call's answer, or for its client to go."""
        gone = asyncio.ensure_future(_wait_gone(request))
        try:
            if call.task is not None:
                await asyncio.wait({call.task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            call.leave()
        return respond(call.result())

    async def change(self, request: Request, work: Work) -> Response:
        """Run a call of a lease that changes something."""
        held = self.held(request)
        return await self.perform(request, held.calls, work, request.headers.get("idempotency-key"))

    def snapshot(self, name: str) -> Snapshot:
        """Return a snapshot that was taken here. Raises SnapshotNotFoundError."""
        if name not in self.snapshots:
            raise errors.SnapshotNotFoundError(f"no snapshot {name!r} on this server")
        return self.snapshots[name]


async def _wait_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def respond(answer: Answer) -> Response:
    """Return an answer as a response."""
    return Response(answer.body, answer.status, headers=dict(answer.head), media_type=answer.kind)


def read_query(request: Request) -> dict[str, str]:
    """Return the arguments of the path; names of files keep bytes that are no text."""
    raw = request.scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qs(raw, True, max_num_fields=32, errors="surrogateescape")
    except ValueError as error:
        raise errors.InvalidCommandError(f"the arguments of the path: {error}") from error
    return {name: values[-1] for name, values in pairs.items()}


def read_number(fields: Mapping[str, Any], name: str, usual: float) -> float:
    """Return a number of the path's arguments. Raises InvalidCommandError."""
    try:
        value = float(fields.get(name, usual))
    except ValueError as error:
        raise errors.InvalidCommandError(f"{name} is {fields[name]!r}: give a number") from error
    if not 0 <= value < 1e12:
        raise errors.InvalidCommandError(f"{name} is {value}: give a number from 0 up")
    return value
