"""Registers the names with vLLM; the classes are made when vLLM asks for one.

vLLM imports a lazily registered class by module and attribute: the attribute `tool_<format>` or
`reasoning_<format>` of this module is made on first use.
"""

from functools import cache
from typing import Any

from treadle_parsers.registry import get_parser
from treadle_parsers.shims.vllm import PREFIX, engine, reasoning_names, tool_names

_TOOL = "tool_"
_REASONING = "reasoning_"


def register() -> None:
    """Register every format with vLLM, as a tool parser and, with thinking, a reasoning parser."""
    tools = engine.tool_parsing("ToolParserManager")
    for name in tool_names():
        _add(tools, name, _TOOL + name)
    reasoning = engine.reasoning_parsing("ReasoningParserManager")
    for name in reasoning_names():
        _add(reasoning, name, _REASONING + name)


def _add(manager: Any, name: str, attribute: str) -> None:
    if hasattr(manager, "register_lazy_module"):
        manager.register_lazy_module(PREFIX + name, __name__, attribute)
    else:
        manager.register_module(PREFIX + name, module=_made(attribute))


def __getattr__(attribute: str) -> type[Any]:
    """Make the class that vLLM was told of under this attribute."""
    if attribute.startswith((_TOOL, _REASONING)):
        return _made(attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")


@cache
def _made(attribute: str) -> type[Any]:
    if attribute.startswith(_TOOL):
        from treadle_parsers.shims.vllm.tool_parser import TreadleToolParser as Base

        name = attribute.removeprefix(_TOOL)
    else:
        from treadle_parsers.shims.vllm.reasoning_parser import TreadleReasoningParser as Base

        name = attribute.removeprefix(_REASONING)
    return type(f"Treadle_{attribute}", (Base,), {"parser": get_parser(name)})
