"""Running an environment as a program: servers, consumer, live view, summary."""

from treadle_envs.serving.options import EmbeddedDefault, RunMode, RunOptions, options_from_flags
from treadle_envs.serving.run import run_app

__all__ = ["EmbeddedDefault", "RunMode", "RunOptions", "options_from_flags", "run_app"]
