"""A gRPC service of which only some methods are there; the others answer UNIMPLEMENTED."""

from collections.abc import Awaitable, Callable
from typing import Any

from grpclib import GRPCError, Status

Handler = Callable[[Any], Awaitable[None]]


def complete(base: type[Any], handlers: object) -> Any:
    """Return an instance of a generated service base with `handlers` methods where it has them.

    Each handler of a unary call takes the request and returns the answer; a name in `streams` of
    `handlers` takes the raw stream.
    """
    streams: frozenset[str] = getattr(handlers, "streams", frozenset[str]())
    methods: dict[str, Handler] = {}
    for name in base.__abstractmethods__:
        if name == "__mapping__":
            continue
        handler = getattr(handlers, name, None)
        if handler is None:
            methods[name] = _missing(name)
        elif name in streams:
            methods[name] = _raw(handler)
        else:
            methods[name] = _unary(handler)
    return type(base.__name__, (base,), dict(methods))()


def _missing(name: str) -> Handler:
    async def answer(self: object, stream: Any = None) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, f"the stand-in has no {name}")

    return answer  # type: ignore[return-value]


def _unary(handler: Callable[..., Awaitable[Any]]) -> Handler:
    async def answer(self: object, stream: Any = None) -> None:
        request = await stream.recv_message()
        await stream.send_message(await handler(request, stream.metadata))

    return answer  # type: ignore[return-value]


def _raw(handler: Callable[..., Awaitable[None]]) -> Handler:
    async def answer(self: object, stream: Any = None) -> None:
        await handler(stream)

    return answer  # type: ignore[return-value]
