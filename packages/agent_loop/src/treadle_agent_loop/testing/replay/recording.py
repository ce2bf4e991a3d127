"""A model client that writes down everything another one is asked and answers."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from treadle_agent_loop.errors import AgentLoopError
from treadle_agent_loop.model import (
    LedgerReport,
    Message,
    ModelClient,
    ModelSession,
    ModelTurn,
    SamplingParams,
    Segment,
)
from treadle_agent_loop.record.lines import JsonLines
from treadle_agent_loop.record.segments import write_segment
from treadle_agent_loop.testing.replay.exchange import (
    VERSION,
    error_json,
    request_json,
    turn_json,
)
from treadle_parsers import ToolSchema


class RecordingClient:
    """A `ModelClient` around another; each answered call is on disk before the loop goes on.

    Closing it closes the client inside as well. The file must be new.
    """

    def __init__(self, client: ModelClient, path: Path) -> None:
        """Raises FileExistsError: there is such a file; a replay wants one run a file."""
        if path.exists():
            raise FileExistsError(f"{path} is there already; record each run to a file of its own")
        self._client = client
        self._lines = JsonLines(path)
        self._sessions = 0
        self._write(
            {
                "type": "client",
                "version": VERSION,
                "model": client.model,
                "token_exact": client.token_exact,
            }
        )

    @property
    def model(self) -> str:
        """The model's name on the server."""
        return self._client.model

    @property
    def token_exact(self) -> bool:
        """Whether its sessions export segments."""
        return self._client.token_exact

    def session(self) -> "RecordingSession":
        """Open a session of the client inside."""
        number, self._sessions = self._sessions, self._sessions + 1
        return RecordingSession(self._client.session(), number, self._write)

    async def aclose(self) -> None:
        """Close the file and the client inside; safe to call twice."""
        self._lines.close()
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _write(self, values: dict[str, Any]) -> None:
        self._lines.write(values)


class RecordingSession:
    """The model's side of one rollout, written down."""

    def __init__(self, session: ModelSession, number: int, write: Any) -> None:
        self._session = session
        self._number = number
        self._write = write

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> ModelTurn:
        """Answer as the session inside does."""
        line = {"session": self._number, "asked": request_json(messages, tools, sampling)}
        try:
            turn = await self._session.complete(messages, tools, sampling)
        except AgentLoopError as error:
            self._write({"type": "error", **line, "error": error_json(error)})
            raise
        self._write({"type": "call", **line, "turn": turn_json(turn)})
        return turn

    def segments(self) -> tuple[Segment, ...]:
        """Return what the session inside exports."""
        segments = self._session.segments()
        written = [write_segment(segment) for segment in segments]
        self._write({"type": "end", "session": self._number, "segments": written})
        return segments

    def report(self) -> LedgerReport:
        """Return what the session inside counted."""
        report = self._session.report()
        self._write({"type": "end", "session": self._number, "report": asdict(report)})
        return report
