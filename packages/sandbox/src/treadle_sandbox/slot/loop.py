"""The one `poll` of a slot's agent: descriptors with their handlers, deadlines, and the replies to
the host.

A handler is called with the subject it was registered with and must not block. Something that has a
`deadline` and an `expire()` may be timed.
"""

import os
import select
import time
from typing import Any

READ, WRITE = select.POLLIN, select.POLLOUT
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_PIECE = 1 << 20


class Loop:
    """Serves one control socket until its other end is closed."""

    def __init__(self, control: int) -> None:
        self._control = control
        self._answers = bytearray()
        self._watched: dict[int, tuple[Any, Any, int]] = {}
        self._round = 0
        self._poll = select.poll()
        self._timed: dict[Any, None] = {}

    def watch(self, descriptor: int, handler: Any, subject: Any, events: int = READ) -> None:
        """Call `handler(subject)` whenever the descriptor is ready."""
        self._watched[descriptor] = (handler, subject, self._round)
        self._poll.register(descriptor, events)

    def change(self, descriptor: int, handler: Any, subject: Any) -> None:
        """Give a watched descriptor another handler."""
        self._watched[descriptor] = (handler, subject, self._watched[descriptor][2])

    def leave(self, descriptor: int) -> None:
        """Stop watching, if it is watched."""
        if self._watched.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        """Stop watching and close; -1 is allowed."""
        if descriptor >= 0:
            self.leave(descriptor)
            os.close(descriptor)

    def time(self, subject: Any) -> None:
        """Call `subject.expire()` once when its `deadline` has passed."""
        self._timed[subject] = None

    def untime(self, subject: Any) -> None:
        """Forget a deadline."""
        self._timed.pop(subject, None)

    def answer(self, reply: bytes) -> None:
        """Send a reply to the host, now or when it can take it."""
        if not self._answers:
            try:
                sent = os.write(self._control, reply)
            except BlockingIOError:
                sent = 0
            except OSError:
                return
            if sent == len(reply):
                return
            reply = reply[sent:]
            self._poll.modify(self._control, READ | WRITE)
        self._answers += reply

    def _flush(self) -> None:
        try:
            while self._answers:
                del self._answers[: os.write(self._control, self._answers[:_PIECE])]
        except BlockingIOError:
            return
        except OSError:
            self._answers.clear()
        self._poll.modify(self._control, READ)

    def discard(self, descriptor: int) -> None:
        """Read and drop what is written to a pipe until it is closed: a background process that
        still writes neither blocks nor dies of a closed pipe.
        """
        if descriptor in self._watched:
            self.change(descriptor, self._drop, descriptor)
        else:
            self.watch(descriptor, self._drop, descriptor)

    def _drop(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self.forget(descriptor)

    def run(self, receive: Any) -> None:
        """Serve until the host is gone; `receive` gets what it sends."""
        os.set_blocking(self._control, False)
        self._poll.register(self._control, READ)
        control, watched, poll = self._control, self._watched, self._poll.poll
        while True:
            ready = poll(self._wait())
            self._round += 1
            for descriptor, events in ready:
                if descriptor == control:
                    if not self._talk(events, receive):
                        return
                else:
                    found = watched.get(descriptor)
                    # A number that was closed and taken again meanwhile has its turn next time.
                    if found is not None and found[2] != self._round:
                        found[0](found[1])
            if self._timed:
                self._expire()

    def _talk(self, events: int, receive: Any) -> bool:
        if events & _READABLE:
            try:
                data = os.read(self._control, _PIECE)
            except BlockingIOError:
                data = None
            except OSError:
                return False
            if data == b"":
                return False
            if data:
                receive(data)
        if events & WRITE:
            self._flush()
        return True

    def _wait(self) -> "float | None":
        if not self._timed:
            return None
        soonest = min(subject.deadline for subject in self._timed)
        return max(0.0, soonest - time.monotonic()) * 1000 + 1

    def _expire(self) -> None:
        now = time.monotonic()
        for subject in [subject for subject in self._timed if subject.deadline <= now]:
            self._timed.pop(subject, None)
            subject.expire()
