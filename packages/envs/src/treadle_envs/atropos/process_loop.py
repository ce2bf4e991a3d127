"""Writing groups to a file without a trainer: several at a time, until there are enough.

A lost group is replaced by the next task; too many in a row end the run with the last reason. The
web page that atroposlib makes of the file is written when it can be, and never breaks a run.
"""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle_envs.errors import GroupLostError
from treadle_envs.failures import first_error

if TYPE_CHECKING:
    from treadle_envs.atropos.env import AgentEnv

logger = logging.getLogger(__name__)


async def process_groups(env: "AgentEnv[Any]") -> None:
    """Run `env.n_groups_to_process` groups of `env.group_size_to_process` rollouts.

    Raises:
        GroupLostError: too many groups were lost in a row.
    """
    env.config.group_size = env.group_size_to_process
    counts = _Counts(wanted=env.n_groups_to_process)
    workers = max(1, min(env.max_num_workers, env.n_groups_to_process))
    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(_work(env, counts))
    except ExceptionGroup as failures:
        raise first_error(failures) from failures
    await env.wandb_log({})
    if env.config.write_html and env.config.data_path_to_save_groups is not None:
        await asyncio.to_thread(_write_page, Path(env.config.data_path_to_save_groups))
    logger.info("processed %d of %d groups", counts.delivered, counts.wanted)


class _Counts:
    """Groups wanted, begun and done; shared by the workers of one run."""

    def __init__(self, *, wanted: int) -> None:
        self.wanted = wanted
        self.begun = 0
        self.delivered = 0
        self.exhausted = False


async def _work(env: "AgentEnv[Any]", counts: _Counts) -> None:
    while counts.begun < counts.wanted and not counts.exhausted:
        counts.begun += 1
        item = await env.get_next_item()
        if item is None:
            counts.exhausted = True
            return
        if await env.run_group(item) is not None:
            counts.delivered += 1
            env.curr_step = counts.delivered
            continue
        counts.begun -= 1
        loss = env.last_loss
        if loss is not None and env.losses_in_a_row >= env.config.max_losses_in_a_row:
            raise GroupLostError(
                loss.reason,
                f"{env.losses_in_a_row} groups in a row were lost; the last one: {loss}",
            )


def _write_page(path: Path) -> None:
    from atroposlib.frontend.jsonl2html import generate_html

    try:
        generate_html(str(path))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the page is an extra of the run
        logger.warning("no web page was written for %s: %s", path, error)
