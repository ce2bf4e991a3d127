"""What to serve, and how."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """What to serve, and how."""

    model: str
    """A folder or a hub name."""
    engine: str = "vllm"
    engine_python: Path | None = None
    """Interpreter of the engine's environment; None looks for the engine on PATH."""
    name: str | None = None
    """What the model is called on the server; None takes the folder's name or the hub name."""
    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any free one."""
    tool_parser: str = "auto"
    """A parser's name, `auto` (by the chat template), or `none`."""
    plugin: bool = False
    """Whether Treadle's own parsers read the calls, as a plugin of vLLM."""
    log: Path | None = None
    timeout: float = 1800.0
    """Seconds until the engine must be ready."""
    more: tuple[str, ...] = ()
    """Flags for the engine as they are."""
