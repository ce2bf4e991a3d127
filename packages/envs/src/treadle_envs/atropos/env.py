"""`AgentEnv`: an environment on atroposlib's `BaseEnv`, with rollouts and sending of its own.

Subclasses give what every environment gives (`setup`, `get_next_item`, `format_prompt`,
`compute_reward`, `evaluate`). What of `BaseEnv` people call or override keeps its name and meaning:
`config_init`, `cli`, `env_manager`, `process_manager`, `collect_trajectories`,
`postprocess_histories`, `handle_send_to_api`, `wandb_log`, `evaluate_log`, checkpoints. What stands
behind them is replaced: groups are built from exact segments, a group is delivered or counted as
lost with its reason, and stopping leaves no lease, process or socket.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from atroposlib.envs.server_handling.server_manager import APIServerConfig

from treadle_agent_loop.model import ModelClient
from treadle_envs.atropos.base import BaseEnvState, ServerConfigs
from treadle_envs.atropos.cli import run_cli
from treadle_envs.atropos.config import AgentEnvConfig
from treadle_envs.atropos.delivery import Delivery
from treadle_envs.atropos.export import Payload, group_payload
from treadle_envs.atropos.process_loop import process_groups
from treadle_envs.atropos.serve_loop import ServeLoop
from treadle_envs.atropos.trajectory_client import TrajectoryClient
from treadle_envs.environment import Environment
from treadle_envs.errors import GroupLostError, SettingsError
from treadle_envs.evaluation import EvaluationReport
from treadle_envs.group import GroupRunner
from treadle_envs.metrics import TrainMetrics, shown
from treadle_envs.models import open_model
from treadle_envs.observer import NullObserver, Observer
from treadle_envs.records import Item, LossReason, ScoredGroup
from treadle_envs.sandboxes import SandboxBackend, local_backend
from treadle_envs.settings import read_model_settings

logger = logging.getLogger(__name__)

AgentConfigT = TypeVar("AgentConfigT", bound=AgentEnvConfig)


class AgentEnv(Environment[AgentConfigT], BaseEnvState):
    """An environment that `serve`s a trainer, `process`es tasks into a file and `evaluate`s.

    `observer`, `client` and `backend` may be passed in; the caller then closes the latter two. What
    isn't passed in is opened from the configuration when a run starts, and closed when it ends.
    """

    env_config_cls: type[AgentEnvConfig] = AgentEnvConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        config: AgentConfigT,
        server_configs: ServerConfigs,
        slurm: bool = False,
        testing: bool = False,
        *,
        observer: Observer | None = None,
        client: ModelClient | None = None,
        backend: SandboxBackend | None = None,
    ) -> None:
        if slurm or testing:
            raise SettingsError("slurm and testing are not supported: give --openai.base_url")
        Environment.__init__(self, config)  # pyright: ignore[reportUnknownMemberType]
        self.init_base_state(server_configs)
        self.observer: Observer = NullObserver() if observer is None else observer
        self.n_groups_to_process = config.total_steps
        self.group_size_to_process = config.group_size
        self.losses_in_a_row = 0
        self.last_loss: GroupLostError | None = None
        self._given_client = client
        self._given_backend = backend
        self._delivery = Delivery()
        self._metrics = TrainMetrics()
        self._eval_metrics: dict[str, float] = {}
        self._groups_begun = 0

    async def env_manager(self) -> None:
        """Serve a trainer until `max_groups`, `total_steps` or the last task; cancel to stop."""
        config = self.config
        async with (
            self.running(),
            TrajectoryClient(
                config.rollout_server_url, patience=config.rollout_server_patience
            ) as api,
        ):
            if not (self.runner.client.token_exact or config.serve_without_tokens):
                raise SettingsError(
                    "a trainer needs exact tokens and this model server gives none: configure a "
                    "tokenizer (--env.tokenizer_name) and a server that answers token ids, or "
                    "write files with `process`"
                )
            await ServeLoop(self, api).run()

    async def process_manager(self) -> None:
        """Write `n_groups_to_process` groups to `data_path_to_save_groups`; no trainer."""
        async with self.running():
            if self.config.use_wandb:
                self.start_wandb_run()
            await process_groups(self)

    async def evaluate_manager(self) -> EvaluationReport | None:
        """Evaluate once, outside any training; returns the report."""
        async with self.running(write=False):
            return await self.run_evaluation()

    @classmethod
    def config_init(cls) -> tuple[AgentConfigT, list[APIServerConfig]]:
        """Return the default settings; the model server's come from the environment and `.env`."""
        settings = read_model_settings()
        config = cls.env_config_cls(tokenizer_name=settings.tokenizer)
        server = APIServerConfig(
            base_url=settings.base_url or "",
            model_name=settings.model or "default",
            api_key=settings.api_key or "",
            health_check=False,
        )
        return cast("AgentConfigT", config), [server]

    @classmethod
    def cli(cls, argv: Sequence[str] | None = None) -> NoReturn:
        """Run the command line (`serve`, `process`, `evaluate`) and exit."""
        sys.exit(run_cli(cls, argv))

    @asynccontextmanager
    async def running(self, *, write: bool = True) -> AsyncGenerator[None]:
        """Open what a run needs: sandboxes, model client, data, the file of groups; then close it.

        Raises:
            SandboxError, AgentLoopError, EnvsError: something can't be opened; says what to do.
        """
        async with AsyncExitStack() as stack:
            backend = self._given_backend
            if backend is None:
                backend = await stack.enter_async_context(local_backend(self.config))
            client = self._given_client
            if client is None:
                client = await open_model(self.model_settings(), self.model_options())
                stack.push_async_callback(client.aclose)
            if write and self.config.data_path_to_save_groups is not None:
                path = Path(self.config.data_path_to_save_groups)
                lines = stack.enter_context(self._delivery.writing(path))
                self.config.data_path_to_save_groups = str(lines.path)
            self.attach(GroupRunner(self, client=client, backend=backend, observer=self.observer))
            stack.push_async_callback(self.aclose)
            await self.setup()
            yield

    def connect(self, api: TrajectoryClient, *, env_id: int, max_length: int) -> None:
        """Send groups to a trainer from now on; `max_length` is its limit in tokens."""
        self._delivery.api, self._delivery.env_id = api, env_id
        self.max_token_len = max_length

    async def run_group(self, item: Item) -> ScoredGroup | None:
        """Roll out, export and deliver one task's group; None when it was lost (and counted)."""
        group_id = f"group-{self._groups_begun:06d}"
        self._groups_begun += 1
        limit = self.config.worker_timeout
        clock = asyncio.timeout(limit if limit > 0 else None)
        try:
            async with clock:
                group = await self.runner.run(
                    item, group_id=group_id, group_size=self.config.group_size
                )
                self._metrics.add(group)
                payload: Any = self.scored_data(group)
                payload = await self.postprocess_histories(payload)
                await self.handle_send_to_api(payload, item)
        except GroupLostError as loss:
            self._count_loss(group_id, loss)
        except TimeoutError:
            if not clock.expired():
                raise
            message = f"group {group_id} took longer than worker_timeout ({limit:g} s)"
            self._count_loss(group_id, GroupLostError(LossReason.TIMEOUT, message))
        except asyncio.CancelledError:
            self.observer.group_lost(group_id, LossReason.CANCELLED.value)
            raise
        else:
            self.losses_in_a_row = 0
            self.observer.group_delivered(group)
            return group
        return None

    def scored_data(self, group: ScoredGroup) -> Payload:
        """Return a group as the trajectory API takes it.

        Raises:
            GroupLostError: it has nothing to train on.
        """
        return group_payload(
            group,
            group_size=self.config.group_size,
            token_exact=self.runner.client.token_exact,
            max_length=self.max_token_len,
            include_messages=self.config.include_messages,
        )

    async def collect_trajectories(self, item: Any) -> tuple[Any, list[Any]]:
        """Roll one task out and return its group; nothing ever goes back to the backlog.

        Raises:
            GroupLostError: it couldn't be completed.
        """
        group_id = f"group-{self._groups_begun:06d}"
        self._groups_begun += 1
        group = await self.runner.run(item, group_id=group_id, group_size=self.config.group_size)
        return self.scored_data(group), []

    async def handle_send_to_api(
        self,
        scored_data: Any,
        item: Item | None = None,
        do_send_to_api: bool = True,
        abort_on_any_max_length_exceeded: bool = True,
    ) -> None:
        """Check a group (or several), send it when connected to a trainer, write it to the file.

        Raises:
            GroupLostError: it was refused, couldn't be delivered, or mustn't be sent.
        """
        several = isinstance(scored_data, list)
        groups = cast("list[Payload]", scored_data) if several else [scored_data]
        for payload in groups:
            await self._delivery.deliver(payload, config=self.config, send=do_send_to_api)
            self.items_sent_this_step += 1
            self.note_completions(payload)
            await self.add_rollouts_for_wandb(payload, item)

    async def run_evaluation(self) -> EvaluationReport | None:
        """Evaluate, and write metrics and samples through `evaluate_log`."""
        report = await self.evaluate()
        if report is None:
            return None
        self._eval_metrics = report.metrics()
        await self.write_evaluation(report, self.runner.client.model)
        logger.info("evaluation: %s", shown(self._eval_metrics))
        return report

    async def wandb_log(self, wandb_metrics: dict[str, Any] | None = None) -> None:
        """Report the numbers since the last report: to the log always, to W&B if it is on."""
        metrics = {**(wandb_metrics or {}), **self._metrics.report(), **self._eval_metrics}
        self._eval_metrics = {}
        logger.info("metrics at step %d: %s", self.curr_step, shown(metrics))
        await self.log_to_wandb(metrics)

    def _count_loss(self, group_id: str, loss: GroupLostError) -> None:
        level = logging.INFO if loss.reason is LossReason.SAME_SCORES else logging.WARNING
        logger.log(level, "group %s is lost (%s): %s", group_id, loss.reason.value, loss)
        if loss.reason is not LossReason.SAME_SCORES:
            self.losses_in_a_row += 1
            self.last_loss = loss
        self.observer.group_lost(group_id, f"{loss.reason.value}: {loss}")
