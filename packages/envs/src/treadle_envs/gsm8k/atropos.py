"""GSM8K for Atropos: `Gsm8kEnv.cli()` serves a trainer, processes into a file, or evaluates."""

from treadle_envs.atropos.config import AgentEnvConfig
from treadle_envs.atropos.env import AgentEnv
from treadle_envs.gsm8k.environment import Gsm8k, Gsm8kConfig


class Gsm8kEnvConfig(Gsm8kConfig, AgentEnvConfig):
    """Settings of GSM8K under Atropos."""

    ensure_scores_are_not_same: bool = False


class Gsm8kEnv(Gsm8k[Gsm8kEnvConfig], AgentEnv[Gsm8kEnvConfig]):
    """GSM8K with a Python tool."""

    env_config_cls = Gsm8kEnvConfig
