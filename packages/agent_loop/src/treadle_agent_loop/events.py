"""Server-sent events of a streamed answer (https://html.spec.whatwg.org/multipage/server-sent-events.html).

An answer is all of its events up to `[DONE]`. A stream that ends without it is returned as far as
it came: whether enough arrived is for the reader to say.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

from treadle_agent_loop.clipping import clip_middle
from treadle_agent_loop.errors import ModelServerError


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStream:
    """A streamed answer."""

    events: tuple[dict[str, Any], ...]
    done: bool
    """Whether `[DONE]` ended it."""


class ByteStream(Protocol):
    """A body that arrives in pieces."""

    async def readany(self) -> bytes:
        """Return what has arrived, and nothing at the end."""
        ...


class Response(Protocol):
    """What `read_events` needs of an HTTP response."""

    @property
    def content(self) -> ByteStream:
        """The body."""
        ...


async def read_events(response: Response) -> EventStream:
    """Read a stream to its end.

    Raises:
        ModelServerError: an event is no JSON object, or reports an error.
    """
    events: list[dict[str, Any]] = []
    decoder = EventDecoder()
    done = False
    while data := await response.content.readany():  # to the end, so that the connection is kept
        for text in decoder.feed(data):
            done = done or text == "[DONE]"
            if not done:
                events.append(_object(text))
    return EventStream(events=tuple(events), done=done)


class EventDecoder:
    """Turns bytes into the data of events, however they are cut; ignores comments and fields other
    than `data`.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the data of the events that have ended."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for raw in lines:
            line = raw.rstrip(b"\r").decode(errors="replace")
            if not line:
                if self._data:
                    yield "\n".join(self._data)
                    self._data = []
            elif line.startswith("data:"):
                self._data.append(line[5:].removeprefix(" "))


def _object(text: str) -> dict[str, Any]:
    try:
        event: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelServerError(
            f"the stream holds no JSON but {clip_middle(text, 200)!r}"
        ) from error
    if not isinstance(event, dict):
        raise ModelServerError(f"the stream holds a JSON {type(event).__name__}, not an object")
    known = cast("dict[str, Any]", event)
    if known.get("error"):
        reason: Any = known["error"]
        words = (
            cast("dict[str, Any]", reason).get("message") if isinstance(reason, dict) else reason
        )
        raise ModelServerError(f"the server failed while it streamed: {words}")
    return known
