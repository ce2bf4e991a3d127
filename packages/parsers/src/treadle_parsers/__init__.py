"""Tool-call parsers for language models: streaming, total, standard library only."""

from treadle_parsers.records import CallStatus, ParsedMessage, Span, ToolCall, ToolSchema

__all__ = ["CallStatus", "ParsedMessage", "Span", "ToolCall", "ToolSchema"]
