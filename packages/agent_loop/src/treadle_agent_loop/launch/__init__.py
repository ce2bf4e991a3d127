"""Starting a stock serving engine with the flags that rollouts need; the logic of `serve_model`."""

from treadle_agent_loop.launch.command import EngineCommand, EngineKind, engine_command
from treadle_agent_loop.launch.flags import LaunchOptions, parse_flags
from treadle_agent_loop.launch.run import run_launcher

__all__ = [
    "EngineCommand",
    "EngineKind",
    "LaunchOptions",
    "engine_command",
    "parse_flags",
    "run_launcher",
]
