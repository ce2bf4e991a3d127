"""The control plane: a FastAPI application behind a gate that checks tokens first."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from treadle_sandbox import errors
from treadle_sandbox.server.answers import answer_error
from treadle_sandbox.server.routes.control import control_routes
from treadle_sandbox.server.routes.files import file_routes
from treadle_sandbox.server.routes.leases import lease_routes, slot_routes
from treadle_sandbox.server.routes.predecessor import predecessor_routes
from treadle_sandbox.server.routes.running import command_routes, job_routes, session_routes
from treadle_sandbox.server.service import Service, respond

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_PUBLIC = frozenset({"/health", "/openapi.json", "/docs", "/docs/oauth2-redirect"})


def make_app(service: Service) -> Application:
    """Return the ASGI application of a server."""
    app = FastAPI(title="treadle-sandbox", redoc_url=None)
    app.add_exception_handler(errors.SandboxError, _on_sandbox_error(service))
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for routes in (
        control_routes,
        lease_routes,
        slot_routes,
        command_routes,
        session_routes,
        job_routes,
        file_routes,
        predecessor_routes,
    ):
        app.include_router(routes(service))
    return gate(service, app)


def gate(service: Service, app: Application) -> Application:
    """Return an application that lets nobody in without the right token."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        try:
            _admit(service, scope["method"], scope["path"], headers)
        except errors.UnauthorizedError as error:
            service.tally.refused += 1
            status = 403 if b"authorization" in headers else 401
            await respond(answer_error(error, status))(scope, receive, send)
            return
        await app(scope, receive, send)

    return guarded


def _admit(service: Service, method: str, path: str, headers: dict[bytes, bytes]) -> None:
    if service.authority.open and b"origin" in headers:
        raise errors.UnauthorizedError("a server without a token answers no web pages")
    if path in _PUBLIC or (path == "/metrics" and service.options.public_metrics):
        return
    authorization = headers.get(b"authorization")
    parts = path.split("/")
    if parts[:3] == ["", "v1", "leases"] and len(parts) > 3 and (len(parts) > 4 or method != "PUT"):
        digest = service.book.digest(parts[3])
        if digest is not None:
            service.authority.admit_to(digest, authorization)
            return
        if len(parts) > 4:
            return
    service.authority.admit(authorization)


def _on_sandbox_error(service: Service) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.SandboxError)
        return respond(answer_error(error, boot=service.book.boot))

    return answer


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
    return respond(answer_error(errors.InvalidCommandError(said)))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = errors.InvalidCommandError if error.status_code < 500 else errors.ServerError
    said = f"{request.method} {request.url.path}: {error.detail}"
    return respond(answer_error(kind(said), error.status_code))
