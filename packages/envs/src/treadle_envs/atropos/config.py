"""Settings of an environment that feeds Atropos: atroposlib's own and this package's, one class.

Every setting is used or refused: those of atroposlib that this adapter has no use for end in an
error when they are set, never in silence.
"""

from typing import Any

from atroposlib.envs.base import BaseEnvConfig
from pydantic import ConfigDict, Field, model_validator

from treadle_envs.config import EnvironmentConfig

_UNUSED = ("thinking_mode", "reasoning_effort", "max_reasoning_tokens", "custom_thinking_prompt")


class AgentEnvConfig(EnvironmentConfig, BaseEnvConfig):
    """The configuration of an `AgentEnv`; field names as in atroposlib and its agent environments.

    It differs from atroposlib's defaults in three: `use_wandb` is off, `include_messages` is on,
    and there is no tokenizer unless one is named.
    """

    model_config = ConfigDict(extra="forbid", validate_default=True)

    tokenizer_name: str | None = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=None, description="Tokenizer folder or hub name; needed for exact tokens only"
    )
    use_wandb: bool = Field(default=False, description="Report metrics to Weights & Biases")
    include_messages: bool = Field(
        default=True, description="Send the conversations to the trainer as well"
    )
    max_batches_offpolicy: int = Field(
        default=3, ge=1, description="Batches that may wait at the trainer"
    )
    max_groups: int = Field(
        default=-1, description="Stop after this many delivered groups; -1: total_steps decides"
    )
    serve_without_tokens: bool = Field(
        default=False,
        description="Serve a chat server's rollouts: messages and scores, no tokens to train on",
    )
    max_losses_in_a_row: int = Field(
        default=16, ge=1, description="Give up when this many groups are lost one after another"
    )
    write_html: bool = Field(
        default=False, description="Make atroposlib's web page of the groups after `process`"
    )
    rollout_server_patience: float = Field(
        default=30.0, ge=0, description="Seconds to keep trying a trajectory API that fails"
    )

    @model_validator(mode="after")
    def _refuse_unused(self) -> "AgentEnvConfig":
        for name in _UNUSED:
            if getattr(self, name) not in (None, False):
                raise ValueError(
                    f"{name} is not used here: set reasoning up on the model's server, or ask "
                    "for it in system_prompt"
                )
        return self

    def model_dump_changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults: what a run's log should show."""
        return self.model_dump(mode="json", exclude_defaults=True)
