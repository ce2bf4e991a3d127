"""Tool-call parsers for language models: streaming, total, standard library only.

`get_parser(name)` returns the parser of a format: `parse` for a whole text, `stream` for text
that arrives in pieces, `render` for the way back. Text goes in, records come out: no I/O, no
clock, no tokenizer, and no text raises. A name's module is imported when the name is first used.
"""

TYPE_CHECKING = False  # type checkers take it for true; `typing` would be the most of this import
if TYPE_CHECKING:
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
else:
    _HOMES = {
        "detection": "Detection detect",
        "errors": "DuplicateParserError GrammarError ParserError RenderError StreamClosedError "
        "TemplateError UnknownDialectError UnknownParserError",
        "events": "ArgumentsDelta CallEnd CallStart ContentDelta Event ReasoningDelta",
        "format": "Dialect Format Thinking",
        "parser": "Parser ParserStream",
        "records": "CallStatus ParsedMessage Segment SegmentKind Span ToolCall ToolSchema",
        "registry": "get_parser list_parsers register_parser",
    }

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names.split():
                module = import_module(f"treadle_parsers.{home}")
                return globals().setdefault(name, getattr(module, name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


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
