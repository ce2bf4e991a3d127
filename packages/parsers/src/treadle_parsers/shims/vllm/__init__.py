"""All formats as tool parsers and reasoning parsers of vLLM, named `treadle_<format>`.

`plugin_path()` is what `--tool-parser-plugin` and `--reasoning-parser-plugin` take;
`python -m treadle_parsers.shims.vllm` prints it. Install this package in the environment of the
server. Nothing of vLLM is imported before vLLM loads the plugin.
"""

from pathlib import Path

from treadle_parsers.registry import get_parser, list_parsers

__all__ = ["PREFIX", "plugin_path", "reasoning_names", "tool_names"]

PREFIX = "treadle_"
"""What the names that vLLM knows begin with."""


def plugin_path() -> Path:
    """Return the file that vLLM loads."""
    return Path(__file__).parent / "treadle_vllm_plugin.py"


def tool_names() -> tuple[str, ...]:
    """Return the formats that are registered as tool parsers, without the prefix."""
    return list_parsers()


def reasoning_names() -> tuple[str, ...]:
    """Return the formats that are registered as reasoning parsers: those with a thinking block."""
    return tuple(name for name in list_parsers() if get_parser(name).format.thinking)
