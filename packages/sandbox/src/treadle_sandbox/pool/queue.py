"""Who waits for slots, first come first served.

A request wants one or more slots, on any server or on a certain one (where its snapshot is). A
request that can't be met yet keeps what it waits for from those who came later: a certain server
isn't given to later ones while an earlier request wants more of it than is free.
"""

import asyncio
from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """Someone who waits; `future` gets the name of the server that has slots reserved for it."""

    ticket: int
    count: int
    server: str | None
    """The only server that will do; None: any."""
    future: asyncio.Future[str]


class Queue:
    """Requests in the order of their tickets."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def waiting(self) -> int:
        """Slots wanted on any server."""
        return sum(request.count for request in self._requests if request.server is None)

    def next_ticket(self) -> int:
        """Return a place at the end; a request that comes back keeps its ticket."""
        self._tickets += 1
        return self._tickets

    def add(self, request: Request) -> None:
        """Put a request at its ticket's place."""
        insort(self._requests, request, key=lambda entry: entry.ticket)

    def discard(self, request: Request) -> None:
        """Forget a request."""
        if request in self._requests:
            self._requests.remove(request)

    def match(self, offers: Mapping[str, int]) -> tuple[tuple[Request, str], ...]:
        """Take the requests that can be met with the free slots of `offers` (in order of
        preference) out of the queue, each with its server.
        """
        free = dict(offers)
        met: list[tuple[Request, str]] = []
        for request in self._requests:
            if not free:
                break
            name = self._choose(request, free)
            if name is None:
                continue
            met.append((request, name))
            free[name] -= request.count
            if not free[name]:
                del free[name]
        taken = {id(request) for request, _ in met}
        self._requests = [entry for entry in self._requests if id(entry) not in taken]
        return tuple(met)

    @staticmethod
    def _choose(request: Request, free: dict[str, int]) -> str | None:
        if request.server is None:
            return next((name for name, count in free.items() if count >= request.count), None)
        if free.get(request.server, 0) >= request.count:
            return request.server
        free.pop(request.server, None)
        return None

    def fail(self, reason: Callable[[], Exception], *, server: str | None = None) -> None:
        """Wake those who wait with an error: all, or those who wait for one server."""
        failed = [r for r in self._requests if server is None or r.server == server]
        for request in failed:
            self._requests.remove(request)
            if not request.future.done():
                request.future.set_exception(reason())
