"""The application: routes, and nothing that knows how an answer is made.

`token_features=False` answers like a plain OpenAI-compatible server: no token ids in, none out.
"""

import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from treadle_embedded.errors import UnknownModelError
from treadle_embedded.location import MODEL_NAME
from treadle_embedded.model import EmbeddedModel
from treadle_embedded.server import chat, completions
from treadle_embedded.server.bodies import ChatBody, CompletionBody
from treadle_embedded.server.connection import ClientGone, EventStream, while_connected
from treadle_embedded.server.failures import install_error_handlers

CLIENT_GONE = 499
"""nginx's status for a request whose client left; nobody reads it."""


def create_app(model: EmbeddedModel, *, token_features: bool = True) -> FastAPI:
    """Make the application around an open model, which the caller closes."""
    app = FastAPI(title="Treadle embedded model", docs_url=None, redoc_url=None, openapi_url=None)
    install_error_handlers(app)
    started = int(time.time())

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_card(model, started)]}

    @app.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        _known(name)
        return _card(model, started)

    @app.post("/v1/completions")
    async def complete(body: CompletionBody, request: Request) -> Response:
        _known(body.model)
        asked = completions.read(body, model, token_features=token_features)
        if body.stream:
            return EventStream(completions.respond_in_pieces(asked, model))
        return await _whole(request, completions.respond(asked, model))

    @app.post("/v1/chat/completions")
    async def converse(body: ChatBody, request: Request) -> Response:
        _known(body.model)
        asked = chat.read(body, model, token_features=token_features)
        if body.stream:
            return EventStream(chat.respond_in_pieces(asked, model))
        return await _whole(request, chat.respond(asked, model))

    _ = health, models, one_model, complete, converse
    return app


async def _whole(request: Request, work: Any) -> Response:
    try:
        return JSONResponse(await while_connected(request.receive, work))
    except ClientGone:
        return Response(status_code=CLIENT_GONE)


def _known(name: str) -> None:
    if name != MODEL_NAME:
        raise UnknownModelError(
            f"The model `{name}` does not exist. This server has one model: `{MODEL_NAME}`."
        )


def _card(model: EmbeddedModel, started: int) -> dict[str, Any]:
    return {
        "id": MODEL_NAME,
        "object": "model",
        "created": started,
        "owned_by": "treadle",
        "max_model_len": model.context,
    }
