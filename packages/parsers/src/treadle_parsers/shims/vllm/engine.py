"""Where vLLM keeps the classes that a plugin needs, which has moved from release to release.

Tested with 0.32 and 0.33. Older places are tried where the newer ones are absent.
"""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

_TOOL_PARSERS = (
    "vllm.tool_parsers.abstract_tool_parser",
    "vllm.tool_parsers",
    "vllm.entrypoints.openai.tool_parsers.abstract_tool_parser",
)
_REASONING = ("vllm.reasoning", "vllm.reasoning.abs_reasoning_parsers")
_PROTOCOL = (
    "vllm.entrypoints.generate.base.protocol",
    "vllm.entrypoints.openai.engine.protocol",
    "vllm.entrypoints.openai.protocol",
)


@cache
def tool_parsing(name: str) -> Any:
    """Return `ToolParser` or `ToolParserManager`."""
    return _first(_TOOL_PARSERS, name)


@cache
def reasoning_parsing(name: str) -> Any:
    """Return `ReasoningParser` or `ReasoningParserManager`."""
    return _first(_REASONING, name)


@cache
def protocol(name: str) -> Any:
    """Return a class of the bodies of requests and answers."""
    return _first(_PROTOCOL, name)


def _first(modules: Iterable[str], name: str) -> Any:
    for module in modules:
        try:
            return getattr(import_module(module), name)
        except AttributeError:
            continue
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise  # the module is there, and something that it needs isn't
    raise ImportError(
        f"no {name} in {', '.join(modules)}: this module works inside vLLM; "
        "install treadle-parsers in the environment of the server and pass the plugin to it"
    )
