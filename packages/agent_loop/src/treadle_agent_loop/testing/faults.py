"""What goes wrong on a `ToyServer`, on order."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong instead of an answer."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str = '{"error": {"message": "the server is unwell"}}'
    drop: bool = False
    """Close the connection without an answer."""
    hang: bool = False
    """Never answer."""
    cut: bool = False
    """Send the status, the headers and the body, promise more of it, and close the connection."""


async def play(fault: Fault, request: web.Request) -> web.StreamResponse:
    """Do to a request what the fault says."""
    if fault.hang:
        await asyncio.Event().wait()
    if fault.cut:
        response = web.StreamResponse(status=fault.status, headers=dict(fault.headers))
        response.content_length = len(fault.body) + 1
        await response.prepare(request)
        await response.write(fault.body.encode())
        if request.transport is not None:
            request.transport.close()  # once what was written has been sent
        return response
    if fault.drop and request.transport is not None:
        request.transport.abort()
    return web.Response(
        status=fault.status,
        headers=dict(fault.headers),
        text=fault.body,
        content_type="application/json",
    )
