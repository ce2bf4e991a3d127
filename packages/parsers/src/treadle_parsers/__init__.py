"""Tool-call parsers for language models: streaming, total, standard library only.

`get_parser(name)` returns the parser of a format: `parse` for a whole text, `stream` for text
that arrives in pieces, `render` for the way back. Text goes in, records come out: no I/O, no
clock, no tokenizer, and no text raises.
"""

from treadle_parsers.detection import Detection, detect
from treadle_parsers.errors import (
    DuplicateParserError,
    GrammarError,
    ParserError,
    RenderError,
    StreamClosedError,
    TemplateError,
    UnknownDialectError,
    UnknownParserError,
)
from treadle_parsers.events import (
    ArgumentsDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    ReasoningDelta,
)
from treadle_parsers.format import Dialect, Format, Thinking
from treadle_parsers.parser import Parser, ParserStream
from treadle_parsers.records import (
    CallStatus,
    ParsedMessage,
    Segment,
    SegmentKind,
    Span,
    ToolCall,
    ToolSchema,
)
from treadle_parsers.registry import get_parser, list_parsers, register_parser

__all__ = [
    "ArgumentsDelta",
    "CallEnd",
    "CallStart",
    "CallStatus",
    "ContentDelta",
    "Detection",
    "Dialect",
    "DuplicateParserError",
    "Event",
    "Format",
    "GrammarError",
    "ParsedMessage",
    "Parser",
    "ParserError",
    "ParserStream",
    "ReasoningDelta",
    "RenderError",
    "Segment",
    "SegmentKind",
    "Span",
    "StreamClosedError",
    "TemplateError",
    "Thinking",
    "ToolCall",
    "ToolSchema",
    "UnknownDialectError",
    "UnknownParserError",
    "detect",
    "get_parser",
    "list_parsers",
    "register_parser",
]
