"""What a parser returns: the whole message as a record.

Every attempted call is a record with a status and the span of its source text. A malformed or
unfinished call is data: it never raises, never removes its neighbours, and its text is kept in
`raw`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

ToolSchema = Mapping[str, Any]
"""One entry of an OpenAI `tools=` list: `{"type": "function", "function": {"name", ...}}`."""


class CallStatus(StrEnum):
    """How an attempted tool call turned out."""

    OK = "ok"
    """Complete, `arguments` is valid JSON (an object), and nothing known contradicts it."""
    INVALID_JSON = "invalid_json"
    """Complete by its markers, but the body can't be read; `arguments` holds the text as written.
    """
    TRUNCATED = "truncated"
    """The text ended inside the call (token limit, stop)."""
    MISSING_NAME = "missing_name"
    """Readable, but it names no tool."""
    UNKNOWN_TOOL = "unknown_tool"
    """Well formed, but `tools` doesn't hold that name."""
    SCHEMA_MISMATCH = "schema_mismatch"
    """Well formed, but an argument doesn't fit the tool's schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A half-open range of characters `[start, end)` of the parsed text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One attempted tool call."""

    name: str
    """The tool's name as written; empty when `status` is `missing_name`."""
    arguments: str
    """JSON text of the arguments, exactly as the model wrote it where the format carries JSON."""
    id: str
    """Call id: the format's own where it has one, otherwise generated and unique in the message."""
    index: int
    """Position among the calls of the message, from 0."""
    status: CallStatus
    span: Span
    """Where the call stands in the parsed text, its markers included."""
    raw: str
    """The text of `span`."""


class SegmentKind(StrEnum):
    """What a stretch of the parsed text is."""

    CONTENT = "content"
    """Text for the user."""
    REASONING = "reasoning"
    """Text of the thinking block."""
    CALL = "call"
    """One attempted tool call with its own markers."""
    FRAMING = "framing"
    """Markers and white space of the format around the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stretch of the parsed text; the segments of a message follow each other without a gap."""

    kind: SegmentKind
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMessage:
    """One assistant message."""

    content: str
    """Text for the user, framing removed; empty when there is none."""
    reasoning: str
    """Text of the thinking block; empty when there is none."""
    tool_calls: tuple[ToolCall, ...]
    text: str
    """The whole input. Content, reasoning, call spans and framing add up to it."""
    segments: tuple[Segment, ...] = ()
    """What each part of `text` is, in order and without a gap."""
