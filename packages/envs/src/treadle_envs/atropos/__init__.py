"""Environments for Atropos: `AgentEnv` on atroposlib's `BaseEnv`. The one part that imports it.

`AgentEnv` and its configuration are loaded on first use: importing atroposlib takes seconds.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treadle_envs.atropos.config import AgentEnvConfig
    from treadle_envs.atropos.env import AgentEnv

__all__ = ["AgentEnv", "AgentEnvConfig"]


def __getattr__(name: str) -> Any:
    if name == "AgentEnv":
        from treadle_envs.atropos.env import AgentEnv

        return AgentEnv
    if name == "AgentEnvConfig":
        from treadle_envs.atropos.config import AgentEnvConfig

        return AgentEnvConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
