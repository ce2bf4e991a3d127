"""Failures as OpenAI-style error bodies: `{"error": {"message", "type", "param", "code"}}`."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from treadle_embedded.errors import (
    ContextLengthError,
    EmbeddedError,
    ModelClosedError,
    RequestError,
    UnknownModelError,
)

INVALID = "invalid_request_error"


def error_body(
    message: str, *, kind: str = INVALID, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Make an error body."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def install_error_handlers(app: FastAPI) -> None:
    """Answer every failure of `app` with an error body."""

    @app.exception_handler(EmbeddedError)
    async def refused(request: Request, error: EmbeddedError) -> JSONResponse:
        return JSONResponse(body_of(error), status_code=status_of(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        message = f"{place or 'body'}: {first['msg']}"
        return JSONResponse(error_body(message, param=place or None), status_code=400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse(error_body(message), status_code=error.status_code)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        message = f"{type(error).__name__} inside the server; its log says more"
        return JSONResponse(error_body(message, kind="server_error"), status_code=500)

    _ = refused, invalid, http, broken


def body_of(error: EmbeddedError) -> dict[str, Any]:
    """Make the error body of one of our errors."""
    match error:
        case ContextLengthError():
            return error_body(str(error), param="messages", code="context_length_exceeded")
        case UnknownModelError():
            return error_body(str(error), param="model", code="model_not_found")
        case RequestError():
            return error_body(str(error), param=error.param)
        case _:
            return error_body(str(error), kind="server_error")


def status_of(error: EmbeddedError) -> int:
    """Give the HTTP status of one of our errors."""
    match error:
        case ContextLengthError() | RequestError():
            return 400
        case UnknownModelError():
            return 404
        case ModelClosedError():
            return 503
        case _:
            return 500
