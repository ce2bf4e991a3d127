"""Starting a stock serving engine with the flags that rollouts need; the logic of `serve_model`."""

from treadle_agent_loop.launch.command import EngineCommand, EngineKind, engine_command
from treadle_agent_loop.launch.options import LaunchOptions
from treadle_agent_loop.launch.run import run_launcher

__all__ = [
    "EngineCommand",
    "EngineKind",
    "LaunchOptions",
    "engine_command",
    "run_launcher",
]
