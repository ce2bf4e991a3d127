"""One connection of the server: the hot routes itself, everything else through uvicorn.

It is uvicorn's protocol with three differences. A request for a hot route never becomes an ASGI
scope: it is read, run in one task and answered. One request at a time is served on a connection;
pipelined ones are refused. What is too slow, too large or too many is cut off: `overdue` and `Door`
hold the limits.
"""

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import cast

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from treadle_sandbox.errors import FileTooLargeError, InvalidCommandError, ServerError
from treadle_sandbox.server.answers import Answer, answer_error
from treadle_sandbox.server.calls import Call
from treadle_sandbox.server.commands import Commands, Target, find_target
from treadle_sandbox.server.options import ServerOptions
from treadle_sandbox.server.tally import Tally

_ACCESS = logging.getLogger("treadle_sandbox.access")
_HEAD_LIMIT = 32_768
_LINES = {code.value: f"HTTP/1.1 {code.value} {code.phrase}".encode() for code in HTTPStatus}


@dataclass(slots=True, kw_only=True)
class Door:
    """What all connections of a server share."""

    config: Config
    commands: Commands
    options: ServerOptions
    tally: Tally
    state: ServerState = field(default_factory=ServerState)
    used: float = field(default_factory=time.monotonic)
    """When the last request came."""

    def open(self) -> "Connection":
        """Return the protocol of a new connection."""
        return Connection(self)

    def sweep(self) -> None:
        """Close what is overdue."""
        now = time.monotonic()
        for connection in list(self.state.connections):
            if isinstance(connection, Connection) and connection.overdue(now):
                self.tally.dropped += 1
                connection.transport.abort()


class State(StrEnum):
    """Where a connection stands; each has a deadline but the time in which a request is served."""

    NEW = "new"
    HEAD = "head"
    BODY = "body"
    BUSY = "busy"
    IDLE = "idle"
    CLOSING = "closing"


class Connection(HttpToolsProtocol):
    """The protocol of one connection."""

    def __init__(self, door: Door) -> None:
        super().__init__(door.config, door.state, {})
        self._door = door
        self._state = State.NEW
        self._since = time.monotonic()
        self._size = 0
        self._target: Target | None = None
        self._body: list[bytes] = []
        self._call: Call | None = None
        self._keep = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse what is above the limit of connections."""
        super().connection_made(transport)
        if len(self.connections) > self._door.options.connections:
            self._door.tally.dropped += 1
            self._refuse(answer_error(ServerError("too many connections"), 503))

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the call that runs."""
        call, self._call = self._call, None
        super().connection_lost(exc)
        if call is not None:
            call.leave()

    def overdue(self, now: float) -> bool:
        """Whether the client takes too long: for a head, within a body, or between requests."""
        if self._state is State.BUSY:
            return False
        options = self._door.options
        limit = options.head_timeout
        if self._state is State.BODY:
            limit = options.body_timeout
        elif self._state is State.IDLE:
            limit = options.idle_timeout
        return now > self._since + limit

    def _enter(self, state: State) -> None:
        self._state = state
        self._since = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, within the limits."""
        if self._state is State.CLOSING:
            return
        self._unset_keepalive_if_required()
        parser = self._parser()
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(answer_error(InvalidCommandError("there are no upgrades here")))
        except httptools.HttpParserError as error:
            self._door.tally.malformed += 1
            why = error.__context__ or error
            self._refuse(answer_error(InvalidCommandError(f"that isn't HTTP: {why}")))
        if self._state is State.HEAD:
            self._size += len(data)
            if self._size > _HEAD_LIMIT:
                self._refuse(answer_error(FileTooLargeError("the request's head is too long"), 431))

    def _parser(self) -> httptools.HttpRequestParser:
        parser: httptools.HttpRequestParser | None = self.parser
        assert parser is not None, "a connection that was lost gets no data"
        return parser

    def on_message_begin(self) -> None:
        """Begin a request, the only one of its connection."""
        if self._state not in (State.NEW, State.IDLE):
            raise ValueError("a request before the answer to the last one; don't pipeline")
        self._enter(State.HEAD)
        self._size = 0
        self._target = None
        self._body = []
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Choose the way: hot, or uvicorn's."""
        self._enter(State.BODY)
        self._size = 0
        door = self._door
        door.tally.requests += 1
        door.used = self._since
        method = self._parser().get_method()
        if method == b"POST":
            self._target = find_target(self.url)
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"0")
        if int(length) > door.options.body_limit:
            self._too_large()
            raise ValueError("the body is too large")
        if self._target is not None:
            if self.expect_100_continue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        url, fields, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(fields)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._size += len(body)
        if self._size > self._door.options.body_limit:
            self._too_large()
            raise ValueError("the body is too large")
        if self._target is None:
            super().on_body(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Run a hot request."""
        if self._target is None:
            done = self.cycle.response_complete
            super().on_message_complete()
            self._enter(State.IDLE if done else State.BUSY)
            return
        self._enter(State.BUSY)
        self._keep = self._parser().should_keep_alive()
        body = b"".join(self._body)
        self._body = []
        begun = self._door.commands.begin(self._target, dict(self.headers), body)
        if isinstance(begun, Answer):
            self._reply(begun)
            return
        self._call = begun
        begun.when_done(self._finish)

    def _finish(self, call: Call) -> None:
        if self._call is call:
            self._call = None
            call.leave()
            self._reply(call.result())

    def _reply(self, answer: Answer) -> None:
        door = self._door
        if door.options.access_log:
            log_access("POST", self.url, answer.status, time.monotonic() - self._since)
        self._enter(State.IDLE)
        self.transport.write(format_answer(answer, keep=self._keep))
        if not self._keep:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        if self._state is State.BUSY:
            self._enter(State.IDLE)
        super().on_response_complete()

    def _too_large(self) -> None:
        limit = self._door.options.body_limit
        self._refuse(answer_error(FileTooLargeError(f"the body has more than {limit} bytes"), 413))

    def _refuse(self, answer: Answer) -> None:
        """Answer outside of any route, then read no more; the sweep cuts off who doesn't leave."""
        if self.transport.is_closing() or self._state is State.CLOSING:
            return
        self._enter(State.CLOSING)
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(format_answer(answer, keep=False))
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def shutdown(self) -> None:
        """Close when nothing is under way."""
        if self._call is None:
            super().shutdown()
        else:
            self._keep = False


def format_answer(answer: Answer, *, keep: bool) -> bytes:
    """Return an answer as bytes of HTTP."""
    more = b"" if keep else b"connection: close\r\n"
    return b"%b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        _LINES[answer.status],
        answer.kind.encode("ascii"),
        len(answer.body),
        more,
        answer.body,
    )


def log_access(method: str, url: bytes, status: int, seconds: float) -> None:
    """Log one request; arguments of the path are left out."""
    path = url.partition(b"?")[0].decode("latin-1")
    line = {"method": method, "path": path, "status": status, "seconds": round(seconds, 6)}
    _ACCESS.info(json.dumps(line))
