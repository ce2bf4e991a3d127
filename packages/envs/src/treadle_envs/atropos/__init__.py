"""Environments for Atropos: `AgentEnv` on atroposlib's `BaseEnv`. The one part that imports it."""

from treadle_envs.atropos.config import AgentEnvConfig
from treadle_envs.atropos.env import AgentEnv

__all__ = ["AgentEnv", "AgentEnvConfig"]
