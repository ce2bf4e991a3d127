"""A model client that answers as a recorded one did, and refuses to be asked anything else.

Sessions may be opened in another order than when they were recorded: a session is the first
recorded one, not yet taken, that began with the same question. From there on every question must
be the recorded one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from treadle_agent_loop.errors import ReplayMismatchError
from treadle_agent_loop.model import LedgerReport, Message, ModelTurn, SamplingParams, Segment
from treadle_agent_loop.record.segments import read_ledger, read_segment
from treadle_agent_loop.testing.replay.exchange import (
    VERSION,
    first_difference,
    read_error,
    read_turn,
    request_json,
)
from treadle_parsers import ToolSchema


@dataclass(slots=True, kw_only=True)
class _Recorded:
    """One recorded session."""

    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    segments: tuple[Segment, ...] = ()
    report: LedgerReport = field(default_factory=LedgerReport)
    taken: bool = False


class ReplayClient:
    """A `ModelClient` over a file that a `RecordingClient` wrote."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError: the file is no recording of this version."""
        self._path = path
        self._recorded: dict[int, _Recorded] = {}
        lines = path.read_text(encoding="utf-8").splitlines()
        head: dict[str, Any] = json.loads(lines[0]) if lines else {}
        if head.get("type") != "client" or head.get("version") != VERSION:
            raise ValueError(f"{path} is no recording of version {VERSION} of model calls")
        self.model = str(head["model"])
        self.token_exact = bool(head["token_exact"])
        for line in lines[1:]:
            self._read(json.loads(line))

    def session(self) -> "ReplaySession":
        """Open a session; its first question tells which recorded one it is."""
        return ReplaySession(self)

    @property
    def unused(self) -> int:
        """Recorded sessions that weren't replayed yet."""
        return sum(bool(recorded.calls) and not recorded.taken for recorded in self._all())

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    def take(self, asked: Mapping[str, Any]) -> _Recorded:
        """Return the session that began with a question, and take it off the list.

        Raises:
            ReplayMismatchError: there is none; the message compares with the first that is left.
        """
        left = [recorded for recorded in self._all() if recorded.calls and not recorded.taken]
        for recorded in left:
            if recorded.calls[0]["asked"] == asked:
                recorded.taken = True
                return recorded
        if not left:
            raise ReplayMismatchError(
                f"{self._path.name}: all {len(self._recorded)} recorded sessions were replayed, "
                "and one more is asked for"
            )
        difference = first_difference(left[0].calls[0]["asked"], asked)
        raise ReplayMismatchError(f"{self._path.name}: no session begins so: {difference}")

    def check(self, call: int, recorded: _Recorded, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recorded call when it is the one asked for.

        Raises:
            ReplayMismatchError: it isn't, or there are no more calls.
        """
        if call >= len(recorded.calls):
            raise ReplayMismatchError(
                f"{self._path.name}: the session has {call} recorded calls, and one more is asked "
                "for"
            )
        difference = first_difference(recorded.calls[call]["asked"], asked)
        if difference is not None:
            raise ReplayMismatchError(f"{self._path.name}: call {call}: {difference}")
        return recorded.calls[call]

    def _all(self) -> list[_Recorded]:
        return [self._recorded[number] for number in sorted(self._recorded)]

    def _read(self, line: dict[str, Any]) -> None:
        recorded = self._recorded.setdefault(line["session"], _Recorded())
        if line["type"] != "end":
            recorded.calls.append(line)
        elif "segments" in line:
            recorded.segments = tuple(read_segment(entry) for entry in line["segments"])
        else:
            recorded.report = read_ledger(line["report"])


class ReplaySession:
    """One recorded session, replayed."""

    def __init__(self, client: ReplayClient) -> None:
        self._client = client
        self._recorded: _Recorded | None = None
        self._calls = 0

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> ModelTurn:
        """Answer as it was recorded, or raise what was.

        Raises:
            ReplayMismatchError: something else was recorded; one line, with the first difference.
        """
        asked: dict[str, Any] = json.loads(json.dumps(request_json(messages, tools, sampling)))
        if self._recorded is None:
            self._recorded = self._client.take(asked)
        call = self._client.check(self._calls, self._recorded, asked)
        self._calls += 1
        if call["type"] == "error":
            raise read_error(call["error"])
        return read_turn(call["turn"])

    def segments(self) -> tuple[Segment, ...]:
        """Return the segments as they were exported."""
        return self._recorded.segments if self._recorded is not None else ()

    def report(self) -> LedgerReport:
        """Return the count as it was."""
        return self._recorded.report if self._recorded is not None else LedgerReport()
