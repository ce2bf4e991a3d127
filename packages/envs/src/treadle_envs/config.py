"""The settings every environment has, checked when they are read.

Field names are those that users of Atropos environments know. An unknown setting, or one out of
its range, is an error; nothing is accepted and ignored. Environments add fields by subclassing.
"""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ModelMode(StrEnum):
    """How the model server is spoken to."""

    AUTO = "auto"
    """Exact tokens when the server and a tokenizer allow it, chat otherwise."""
    TOKEN = "token"
    """Exact tokens, or an error."""
    CHAT = "chat"
    """The chat API of any OpenAI-compatible server; rollouts carry no tokens to train on."""


class EnvironmentConfig(BaseModel):
    """Settings of one environment: rollouts, model, sandbox, evaluation."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    group_size: int = Field(default=4, ge=1, description="Rollouts of one task, scored as a group")
    max_token_length: int = Field(default=1024, ge=1, description="New tokens per model turn")
    max_agent_turns: int = Field(default=10, ge=1, description="Model turns per rollout")
    agent_temperature: float = Field(default=1.0, ge=0, description="Sampling temperature")
    agent_top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus sampling mass")
    system_prompt: str | None = Field(default=None, description="System message; None for none")
    seed: int | None = Field(
        default=None, description="Seed of task order and sampling; None samples afresh each run"
    )
    rollout_timeout: float = Field(default=600.0, gt=0, description="Seconds per rollout")
    rollout_retries: int = Field(
        default=2, ge=0, description="New attempts at a rollout that infrastructure broke"
    )

    tokenizer_name: str | None = Field(
        default=None, description="Tokenizer folder or hub name; needed for exact tokens only"
    )
    tool_call_parser: str = Field(
        default="hermes", description="Format of tool calls in the model's text (token mode)"
    )
    model_mode: ModelMode = Field(default=ModelMode.AUTO, description="auto, token or chat")

    dataset_name: str | None = Field(
        default=None, description="Hugging Face data set, or the path of a .jsonl file"
    )
    dataset_split: str = Field(default="train", description="Split to take tasks from")
    prompt_field: str = Field(default="prompt", description="The row's field with the task")

    sandbox_backend: Literal["local"] = Field(default="local", description="Where tools run")
    sandbox_slots: int = Field(default=8, ge=1, description="Sandboxes in use at one time")
    min_isolation: Literal["auto", "process", "namespaces", "bubblewrap"] = Field(
        default="namespaces", description="Refuse to run below this; auto takes the strongest"
    )
    allow_network: bool = Field(default=False, description="Let tools reach the network")
    terminal_timeout: float = Field(default=30.0, gt=0, description="Seconds per tool command")
    acquire_timeout_s: float = Field(
        default=600.0, gt=0, description="Seconds a rollout waits for a free sandbox"
    )

    max_eval_workers: int = Field(default=16, ge=1, description="Evaluation rollouts at one time")
    eval_temperature: float = Field(default=0.0, ge=0, description="Temperature of evaluation")
    eval_limit: int | None = Field(default=None, ge=1, description="Evaluate this many tasks only")
