"""What is kept of atroposlib's `BaseEnv`: its state and its reporting, without its constructor.

`BaseEnv.__init__` downloads a tokenizer, opens clients for servers that nobody named and picks an
output file; an `AgentEnv` needs none of that. This class sets the attributes that the inherited
methods use, and gives `server` and `tokenizer` to those who ask for them.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from atroposlib.envs.base import BaseEnv
from atroposlib.envs.server_handling.server_manager import (
    APIServerConfig,
    ServerBaseline,
    ServerManager,
)

from treadle_envs.atropos.config import AgentEnvConfig
from treadle_envs.atropos.export import MASKED
from treadle_envs.errors import SettingsError
from treadle_envs.evaluation import EvaluationReport
from treadle_envs.models import ModelOptions
from treadle_envs.settings import ModelSettings, api_root

ServerConfigs = ServerBaseline | APIServerConfig | Sequence[APIServerConfig]


class BaseEnvState(BaseEnv):
    """`BaseEnv` whose attributes are set by `init_base_state`."""

    config: AgentEnvConfig
    env_id: int
    wandb_prepend: str | None  # pyright: ignore[reportIncompatibleVariableOverride]

    def init_base_state(self, server_configs: ServerConfigs) -> None:
        """Set what the inherited methods need.

        Raises:
            SettingsError: not exactly one model server is configured.
        """
        self.server_config = _one_server(server_configs)
        self.curr_step = 0
        self.max_token_len = -1
        self.items_sent_this_step = 0
        self.max_num_workers = self.config.max_num_workers
        if self.max_num_workers == -1:
            self.max_num_workers = self.config.max_num_workers_per_node
        self.workers: set[Any] = set()
        self.eval_workers: set[Any] = set()
        self.backlog: list[Any] = []
        self.running_items: dict[str, Any] = {}
        self.rollouts_for_wandb: list[list[tuple[str, float]]] = []
        self.completion_lengths: list[int] = []
        self.task_duration: list[float] = []
        self.succeeded_task_duration: list[float] = []
        self.failed_task_duration: list[float] = []
        self.mainloop_timings: list[float] = []
        self.workers_added_list: list[int] = []
        self.wandb_project = self.wandb_group = None
        self.wandb_prepend = None
        self.checkpoint_dir = ""
        self.checkpoint_interval = -1
        self.jsonl_writer = None  # pyright: ignore[reportAttributeAccessIssue]

    @cached_property
    def server(self) -> ServerManager:
        """atroposlib's own clients of the model server, for code that uses them directly."""
        config = self.server_config.model_copy(
            update={"health_check": False, "api_key": self.server_config.api_key or "none"}
        )
        return ServerManager([config])

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer that `tokenizer_name` names.

        Raises:
            SettingsError: none is named.
        """
        if self.config.tokenizer_name is None:
            raise SettingsError("no tokenizer is configured: give --env.tokenizer_name")
        import transformers

        auto: Any = transformers.AutoTokenizer
        return auto.from_pretrained(self.config.tokenizer_name)

    def model_settings(self) -> ModelSettings:
        """Return where the model server is, from the server configuration."""
        server = self.server_config
        base_url = server.base_url or None
        named = server.tokenizer_name not in ("", "none")
        return ModelSettings(
            base_url=None if base_url is None else api_root(base_url),
            model=None if server.model_name in ("", "default") else server.model_name,
            api_key=server.api_key or None,
            tokenizer=self.config.tokenizer_name or (server.tokenizer_name if named else None),
        )

    def model_options(self) -> ModelOptions:
        """Return how to use the model server."""
        return ModelOptions(
            mode=self.config.model_mode,
            parser=self.config.tool_call_parser,
            timeout=float(self.server_config.timeout),
            concurrency=self.server_config.num_max_requests_at_once,
        )

    def note_completions(self, payload: Mapping[str, Any]) -> None:
        """Count the trained tokens of each sequence for the metrics."""
        for masks in payload["masks"]:
            self.completion_lengths.append(sum(mask != MASKED for mask in masks))

    async def add_rollouts_for_wandb(self, scored_data: Any, item: Any = None) -> None:
        """Keep some conversations, with every tool call and result, for the table in W&B."""
        messages = scored_data.get("messages")
        if not self.config.use_wandb or not messages:
            return
        keep = self.config.num_rollouts_per_group_for_logging
        chosen: list[tuple[Any, float]] = list(zip(messages, scored_data["scores"], strict=True))
        chosen = chosen if keep == -1 else chosen[:keep]
        self.rollouts_for_wandb.append([(_conversation(entry), score) for entry, score in chosen])
        del self.rollouts_for_wandb[: -self.config.num_rollouts_to_keep]

    async def write_evaluation(self, report: EvaluationReport, model: str) -> None:
        """Write metrics and samples through `evaluate_log`, when a folder is named for them."""
        if self.config.data_dir_to_save_evals is not None:
            await self.evaluate_log(
                report.metrics(),
                model_name=model,
                start_time=report.started,
                end_time=report.ended,
                generation_parameters=report.generation,
                samples=report.samples(),
                verbose=False,
            )

    def start_wandb_run(self) -> None:
        """Start a run in W&B without a trainer that names its project."""
        import wandb

        name = self.config.wandb_name or type(self).__name__
        wandb.init(name=name, config=self.config.model_dump(mode="json"))

    async def log_to_wandb(self, metrics: dict[str, Any]) -> None:
        """Report to W&B when it is on; forget what was gathered for it in any case."""
        if self.config.use_wandb:
            import wandb

            lengths = self.completion_lengths
            if lengths:
                metrics["train/completion_lengths"] = sum(lengths) / len(lengths)
                metrics["train/completion_lengths_max"] = max(lengths)
            base: Any = self
            whole: dict[str, Any] = await base.create_rollout_table(metrics)
            prefix = "" if self.wandb_prepend is None else f"{self.wandb_prepend}_"
            named = {f"{prefix}{name}": value for name, value in whole.items()}
            wandb.log(named, step=self.curr_step)
        self.completion_lengths.clear()
        self.rollouts_for_wandb.clear()


def _one_server(configs: ServerConfigs) -> APIServerConfig:
    if isinstance(configs, APIServerConfig):
        return configs
    if isinstance(configs, ServerBaseline):
        return APIServerConfig(**configs.model_dump())
    if len(configs) != 1:
        raise SettingsError(
            f"{len(configs)} model servers are configured: give one; to use several, put a load "
            "balancer before them"
        )
    return configs[0]


def _conversation(messages: Sequence[Mapping[str, Any]]) -> str:
    parts: list[str] = []
    for message in messages:
        parts.append(f"[{str(message['role']).upper()}]\n{message.get('content') or ''}")
        for call in message.get("tool_calls") or ():
            function = call["function"]
            parts.append(f"[TOOL CALL] {function['name']} {function['arguments']}")
    return "\n".join(parts)
